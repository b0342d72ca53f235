"""Accounts: people who prove by name and password who they are. The file holds argon2 hashes, never passwords.

`edge.accounts` is an `Accounts`; without a configured file it is false, and asks for nothing.
"""

from __future__ import annotations

from openai_proxy.accounts.checking import Accounts, excused

__all__ = ["Accounts", "excused"]
