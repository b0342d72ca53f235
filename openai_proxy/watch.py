"""Deadlines of one request's engine, without a timer an event."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from openai_proxy.ticker import Ticker

Timer: TypeAlias = Literal["first_token", "between_tokens", "request"]


class Watch:
    """Cancels the task that waits for the engine when its time is up.

    Call `wait` before waiting for an event and `got` after it. While the consumer works the clock stands still.
    """

    def __init__(self, ticker: Ticker, first: float, between: float, whole: float) -> None:
        task = asyncio.current_task(ticker.loop)
        assert task is not None
        self._task = task
        self._ticker = ticker
        self._time = ticker.loop.time
        self._between = between
        self._limit = first
        self._end = self._time() + whole
        self._since: float | None = None
        self._name: Timer = "first_token"
        self._expired: Timer | None = None
        ticker.add(self)

    def wait(self) -> None:
        self._since = self._time()

    def got(self) -> None:
        self._since = None
        self._limit = self._between
        self._name = "between_tokens"

    def close(self) -> None:
        self._ticker.discard(self)

    def absorb(self) -> Timer | None:
        """The timer that ran out, if the cancellation that just arrived was this watch's own: then it is taken back."""
        if self._expired is None or self._task.uncancel() > 0:
            return None
        return self._expired

    def look(self, now: float) -> None:
        """End the wait when it has been too long."""
        if self._since is None or now < min(self._since + self._limit, self._end):
            return
        self._expired = "request" if now >= self._end else self._name
        self._ticker.discard(self)
        self._task.cancel()
