"""The connections of one upstream that wait for a request: last in, first out, so that what is not needed grows old."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.remote.http.connection import Connection


class Idle:
    """At most `largest` connections, each for at most `seconds`."""

    def __init__(self, largest: int, seconds: float) -> None:
        self.closed = False
        self._largest = largest
        self._seconds = seconds
        self._connections: deque[Connection] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """The connection that was used last, if one is good."""
        while self._connections:
            connection = self._connections.pop()
            if connection.usable and connection.loop.time() - connection.since < self._seconds:
                return connection
            connection.abort()
        return None

    def put(self, connection: Connection) -> None:
        """Keep a connection; the oldest one goes where there are too many."""
        connection.since = connection.loop.time()
        self._connections.append(connection)
        if self.closed or len(self._connections) > self._largest:
            self._connections.popleft().abort()
        if self._timer is None and self._connections:
            self._timer = connection.loop.call_later(self._seconds, self._sweep)

    def forget(self, connection: Connection) -> None:
        """A connection was closed by the other side."""
        if connection in self._connections:
            self._connections.remove(connection)

    def clear(self) -> None:
        while self._connections:
            self._connections.pop().abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        """Close what has grown old, and come again when the next one will have."""
        self._timer = None
        while self._connections:
            oldest = self._connections[0]
            end = oldest.since + self._seconds
            if oldest.loop.time() < end:
                self._timer = oldest.loop.call_at(end, self._sweep)
                return
            self._connections.popleft().abort()
