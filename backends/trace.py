"""What a request is called on its way, for servers behind this one: its id, and its place in a trace that others keep.

It belongs to no kind of request and to no dialect, so it travels in the context, as `via` does. Source:
https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Trace(NamedTuple):
    """`parent` and `state` are the client's headers traceparent and tracestate, empty where it sent none.

    What is here was checked: it can stand in a head.
    """

    request_id: str
    parent: bytes = b""
    state: bytes = b""


current: ContextVar[Trace | None] = ContextVar("current", default=None)

# The names of the headers, which an operator may set to something else.
HEADERS = frozenset({"x-request-id", "traceparent", "tracestate"})


def trace_lines() -> bytes:
    """The lines of a head that tell the next server; none outside of a request."""
    trace = current.get()
    if trace is None:
        return b""
    request_id, parent, state = trace
    if not parent:
        return f"x-request-id: {request_id}\r\n".encode("ascii")
    tail = b"\r\ntracestate: " + state + b"\r\n" if state else b"\r\n"
    return f"x-request-id: {request_id}\r\ntraceparent: ".encode("ascii") + parent + tail
