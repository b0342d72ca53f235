"""Bounded slots and a bounded queue in front of one engine."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from openai_proxy.errors import EdgeError, QueueFull, QueueTimeout

SMOOTHING = 0.2
UNMEASURED = 1.0
POLL = 0.1


class Admission:
    """First come, first served: at most `slots` run, at most `queue` requests of `queue_tokens` tokens in all wait.

    The drain rate is measured, so that a refused client can be told when to come back.
    """

    def __init__(self, slots: int, queue: int, queue_tokens: int) -> None:
        self.slots = slots
        self.queue = queue
        self.queue_tokens = queue_tokens
        self.running = 0
        self.loading = 0
        self.waiting_tokens = 0
        self.closed: Callable[[], EdgeError] | None = None
        self.service_seconds = UNMEASURED
        self.released = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting) + self.loading

    @property
    def ahead(self) -> int:
        """How many requests a new one would have to wait for, beside those that run."""
        return self.waiting

    @property
    def too_many_load(self) -> bool:
        """Whether more wait for the engine to be loaded than may wait at all."""
        return self.loading > self.queue

    def retry_after(self, position: int | None = None) -> float:
        """Seconds until the request at a place in the queue, or one that came now, would probably get its slot."""
        return self.service_seconds * (self.ahead + 1 if position is None else position) / self.slots

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        free = self.running < self.slots and not self._waiting and self.closed is None
        if free:
            self.running += 1
        return free

    async def acquire(self, tokens: int, timeout: float) -> float:
        """Take a slot; returns the moment (monotonic seconds) it was had, for `release`.

        Raises QueueFull at once, QueueTimeout after `timeout` seconds, or the error given to `close`.
        """
        if self.closed is not None:
            raise self.closed()
        if self.take():
            return time.monotonic()
        turn = self._join(tokens)
        try:
            await self._wait(turn, timeout)
        finally:
            self._left(tokens)
        return time.monotonic()

    def _join(self, tokens: int) -> asyncio.Future[None]:
        """Stand in line. Raises QueueFull."""
        if self.waiting >= self.queue or (self._waiting and self.waiting_tokens + tokens > self.queue_tokens):
            raise QueueFull(retry_after=self.retry_after(), queue_position=self.ahead + 1)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.waiting_tokens += tokens
        return turn

    def _left(self, tokens: int) -> None:
        """Somebody does not stand in line any more."""
        self.waiting_tokens -= tokens

    async def _wait(self, turn: asyncio.Future[None], timeout: float) -> None:
        position = 0
        try:
            async with asyncio.timeout(timeout):
                await turn
        except BaseException as error:
            if turn in self._waiting:
                position = self._place(turn)
                self._waiting.remove(turn)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise QueueTimeout(retry_after=self.retry_after(position), queue_position=position) from None
            raise

    def _place(self, turn: asyncio.Future[None]) -> int:
        """Where somebody stands in line, counted from 1."""
        return self._waiting.index(turn) + 1

    def release(self, since: float) -> None:
        """Give a slot back and wake the next in line."""
        self.released = time.monotonic()
        self.service_seconds += SMOOTHING * (self.released - since - self.service_seconds)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def close(self, error: Callable[[], EdgeError]) -> None:
        """Refuse everybody in the queue and everybody who comes later, each with an error of their own."""
        self.closed = error
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error())

    @property
    def busy(self) -> bool:
        """Whether anything runs, or waits for a slot; not what waits for the engine to be loaded."""
        return self.running > 0 or len(self._waiting) > 0

    async def empty(self, timeout: float) -> None:
        """Wait until nothing runs or waits for a slot, at most `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.busy and time.monotonic() < end:  # noqa: ASYNC110 - rare, and in no hurry
            await asyncio.sleep(POLL)
