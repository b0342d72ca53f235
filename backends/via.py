"""Through which servers of this kind a request came, so that none asks itself, not even by way of another one.

Source: RFC 9110, section 7.6.3 (Via).
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

# This process; its workers are forked and bear the same name.
NAME = f"openai-proxy-{secrets.token_hex(6)}"
ONE = re.compile(r"openai-proxy-[0-9a-f]{12}")

# The names of those before this one, in order.
passed: ContextVar[tuple[str, ...]] = ContextVar("passed", default=())

_FIRST = f"via: 1.1 {NAME}\r\n".encode("ascii")


def names_in(via: bytes) -> tuple[str, ...]:
    """The servers of this kind that a header names; what else stands in it is of no interest."""
    return tuple(ONE.findall(via.decode("latin-1")))


def via_line() -> bytes:
    """The line of a head that tells the next server."""
    before = passed.get()
    if not before:
        return _FIRST
    return f"via: {', '.join(f'1.1 {name}' for name in (*before, NAME))}\r\n".encode("ascii")
