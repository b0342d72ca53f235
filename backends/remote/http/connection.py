"""One connection of our own client: it carries one request and its answer at a time, then waits for the next one."""

from __future__ import annotations

import asyncio
from typing import cast

from backends.remote.http.answer import OwnAnswer
from backends.remote.http.idle import Idle

# Up to here a body is copied behind its head, so that both leave in one call; a longer one is sent as it is.
SMALL = 65_536


class Connection(asyncio.Protocol):
    """Made by loop.create_connection. `since` is when it became idle, by the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle: Idle) -> None:
        self.loop = loop
        self.since = 0.0
        self._idle = idle
        self._answer: OwnAnswer | None = None

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, answer: OwnAnswer) -> None:
        """Send a request; `answer` gets what comes back."""
        self._answer = answer
        if len(body) > SMALL:
            self._transport.write(head)
            self._transport.write(body)
        else:
            self._transport.write(head + body)

    def pause(self) -> None:
        """Read no more of the socket."""
        if self.usable and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.usable and not self._transport.is_reading():
            self._transport.resume_reading()

    def release(self) -> None:
        """The answer was read to its end: wait for the next request, unless it came before ours was all sent."""
        self._answer = None
        if self.usable and not self._transport.get_write_buffer_size():
            self._idle.put(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close now, without sending what is still buffered."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is not None:
            self._answer.feed(data)
        else:
            self._idle.forget(self)
            self.abort()

    def eof_received(self) -> None:
        """Without the abort, the transport would first wait until all that we sent was taken."""
        self.connection_lost(None)
        self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._idle.forget(self)
        if self._answer is not None:
            self._answer.lost(error)
