"""One timer for everybody who has a deadline: cheaper than one each, since nearly all deadlines are never reached."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import Protocol

INTERVAL = 0.05


class Waiting(Protocol):
    """Somebody who has deadlines."""

    def look(self, now: float) -> None:
        """Act on what is due at `now`, in monotonic seconds."""


class Ticker:
    """Calls `look` of all that are on it, every 50 ms; rests while nobody is. Deadlines are late by that at most."""

    def __init__(self) -> None:
        self._all: dict[Waiting, None] = {}
        self._handle: asyncio.TimerHandle | None = None

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one loop of this server. Asking asyncio for it costs a system call, too much for each request."""
        return asyncio.get_running_loop()

    def add(self, waiting: Waiting) -> None:
        self._all[waiting] = None
        if self._handle is None:
            self._handle = self.loop.call_later(INTERVAL, self._tick)

    def discard(self, waiting: Waiting) -> None:
        self._all.pop(waiting, None)

    def _tick(self) -> None:
        # First the next tick: whatever happens in this one, deadlines go on.
        self._handle = self.loop.call_later(INTERVAL, self._tick) if self._all else None
        now = time.monotonic()
        for waiting in tuple(self._all):
            waiting.look(now)
