"""The clock of one streamed answer."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from openai_proxy.errors import ClientSlow, EdgeError

# A client waits so many seconds for a status line that says how it went; then it gets one that says nothing yet.
PATIENCE = 1.0


class Streaming(Protocol):
    """Whose clock it is."""

    started: bool

    def stop(self, error: EdgeError) -> None: ...
    async def comment(self) -> None: ...


class Pulse:
    """The status line after a moment, comments in silence, the end of a slow reader.

    Without `comments` only the last. `wrote` is set by whoever wrote something at once, without waiting.
    """

    wrote = False

    def __init__(self, exchange: Streaming, ping: float, send_timeout: float, *, comments: bool = True) -> None:
        self.exchange = exchange
        self.ping = ping
        self.send_timeout = send_timeout
        self.comments = comments
        self._last = time.monotonic()
        self._patient_until = self._last + PATIENCE
        self._sending: float | None = None
        self._beat: asyncio.Task[None] | None = None

    def sending(self) -> None:
        self._sending = time.monotonic()

    def sent(self) -> None:
        self._last = self._sending or self._last
        self._sending = None

    def close(self) -> None:
        if self._beat is not None:
            self._beat.cancel()

    def look(self, now: float) -> None:
        """Act on what is due at `now`, in monotonic seconds."""
        if self.wrote:
            self.wrote, self._last = False, now
        if self._sending is not None:
            if now >= self._sending + self.send_timeout:
                self.exchange.stop(ClientSlow())
        elif not self.comments or now < self._patient_until:
            return
        elif now >= self._last + self.ping or not self.exchange.started:
            self._last = now
            self._beat = asyncio.create_task(self.exchange.comment())
