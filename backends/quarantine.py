"""Requests that were in an engine at two of its deaths: they are not tried a third time."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from backends.errors import EngineFailed, Refused
from backends.requests import Request

QUARANTINED = 1024
RECENT_SECONDS = 5.0


class Quarantine:
    """Remembers what ran; `died` is to be called when the engine ended unasked."""

    def __init__(self) -> None:
        self._running: dict[object, Request] = {}
        self._lost: deque[tuple[float, bytes]] = deque(maxlen=QUARANTINED)
        self._suspects: set[bytes] = set()
        self._refused: OrderedDict[bytes, None] = OrderedDict()

    @contextmanager
    def running(self, request: Request) -> Iterator[None]:
        """While the engine works on a request. Raises Refused for one that is in quarantine."""
        if self._refused and _digest(request) in self._refused:
            raise Refused("The engine died twice while it worked on this request; it is not tried again.")
        token = object()
        self._running[token] = request
        try:
            yield
        except EngineFailed:
            # A connection may break before its process is known to be dead.
            self._lost.append((time.monotonic(), _digest(request)))
            raise
        finally:
            del self._running[token]

    def died(self) -> None:
        """Remember what ran; what ran at the death before as well does not get a third chance."""
        running = {_digest(request) for request in self._running.values()}
        running |= {digest for when, digest in self._lost if time.monotonic() - when < RECENT_SECONDS}
        self._lost.clear()
        for digest in running & self._suspects:
            self._refused[digest] = None
        while len(self._refused) > QUARANTINED:
            self._refused.popitem(last=False)
        self._suspects = running


def _digest(request: Request) -> bytes:
    return hashlib.sha256(msgspec.json.encode(request)).digest()
