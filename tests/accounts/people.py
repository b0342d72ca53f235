"""Accounts whose hashes take no time, and what they send."""

from __future__ import annotations

import base64
from pathlib import Path

import argon2

ALICE, BOB = "alice:wonder:land", "bob@example.org:builder!"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def book(path: Path, *users: str) -> Path:
    """A file of these accounts, each "name:password"."""
    pairs = [user.partition(":") for user in users or (ALICE, BOB)]
    path.write_text("".join(f"{name} {CHEAP.hash(password)}\n" for name, _, password in pairs))
    path.chmod(0o600)
    return path


def basic(user: str) -> str:
    """The header of HTTP Basic for "name:password"."""
    return f"Basic {base64.b64encode(user.encode()).decode()}"
