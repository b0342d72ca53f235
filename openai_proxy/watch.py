"""Deadlines of one request, without a timer an event: one callback that looks whether the engine has gone silent."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

Timer: TypeAlias = Literal["first_token", "between_tokens", "request"]

SHORTEST_LOOK = 0.01


class Watch:
    """Cancels the task that waits for the engine when its time is up.

    Call `wait` before waiting for an event and `got` after it. While the consumer works the clock stands still.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, first: float, between: float, whole: float) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._loop = loop
        self._between = between
        self._limit = first
        self._end = self._loop.time() + whole
        self._since: float | None = None
        self._name: Timer = "first_token"
        self._expired: Timer | None = None
        self._handle = self._loop.call_later(min(first, between, whole), self._look)

    def wait(self) -> None:
        self._since = self._loop.time()

    def got(self) -> None:
        self._since = None
        self._limit = self._between
        self._name = "between_tokens"

    def close(self) -> None:
        self._handle.cancel()

    def absorb(self) -> Timer | None:
        """The timer that ran out, if the cancellation that just arrived was this watch's own: then it is taken back."""
        if self._expired is None or self._task.uncancel() > 0:
            return None
        return self._expired

    def _look(self) -> None:
        now = self._loop.time()
        waiting = self._since is not None
        silent_until = (self._since if self._since is not None else now) + self._limit
        if waiting and now >= min(silent_until, self._end):
            self._expired = "request" if now >= self._end else self._name
            self._task.cancel()
            return
        rest = min(silent_until, self._end if waiting else silent_until) - now
        self._handle = self._loop.call_later(max(min(rest, self._between), SHORTEST_LOOK), self._look)
