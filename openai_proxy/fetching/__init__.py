"""Asking for what a client gives the address of: pictures, and whatever else comes to lie behind addresses.

An address is hostile. It is read once (`address`), its name is looked up once (`lookup`), each of the addresses found
must be public or allowed (`reach`), and the connection goes to one of those and nowhere else (`exchange`). Redirects go
the whole way again (`fetcher`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Reason: TypeAlias = Literal[
    "blocked", "no_such_name", "unreachable", "timed_out", "refused", "malformed", "too_large", "other_content"
]


class NotFetched(Exception):
    """Nothing came of it. `reason` is for the metrics, `note` for the log; clients are told neither."""

    def __init__(self, reason: Reason, note: str) -> None:
        super().__init__(note)
        self.reason = reason
        self.note = note
