"""Requests that go in a circle: from this server to itself, or around several that ask one another."""

from __future__ import annotations

from backends import via
from openai_proxy.errors import LoopDetected

MOST = 10


def note_via(header: bytes) -> None:
    """Remember through whom a request came, for those whom it goes on to. Raises LoopDetected."""
    names = via.names_in(header)
    if via.NAME in names or len(names) >= MOST:
        raise LoopDetected
    via.passed.set(names)
