"""A client's place in a trace: read from its headers, kept for the servers that its request goes on to.

This server adds no span of its own, so the headers go on as they came: https://www.w3.org/TR/trace-context/, 2.3
(forwarding). What is malformed is dropped, and with it the rest, as section 3 wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.trace import Trace, current

# Ids of zeros are invalid, and so is the version ff.
PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
LATER = re.compile(rb"-[!-~]{0,400}").fullmatch
STATE = re.compile(rb"[ -~\t]{1,4096}").fullmatch


def note_trace(request_id: str, head: Mapping[bytes, bytes]) -> None:
    """Remember what the request is called."""
    parent = head.get(b"traceparent")
    if parent is None or not _valid(parent):
        current.set(Trace(request_id))
        return
    state = head.get(b"tracestate", b"")
    current.set(Trace(request_id, parent, state if STATE(state) else b""))


def _valid(parent: bytes) -> bool:
    """Whether this is a traceparent: of version 00, or of a later one, which may have more behind it."""
    found = PARENT.match(parent)
    if found is None:
        return False
    rest = parent[found.end() :]
    return not rest or (not parent.startswith(b"00") and LATER(rest) is not None)
