"""Who may fetch now: so many at once, and so many who wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from openai_proxy.errors import QueueFull, QueueTimeout

# Seconds after which somebody may come again: fetches are short.
SOON = 1.0


class Turns:
    """Whoever comes when the numbers have changed belongs to the new ones; nobody who is there has to leave."""

    def __init__(self) -> None:
        self._at_once = 0
        self._free = asyncio.Semaphore(0)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, at_once: int, queue: int, seconds: float) -> AsyncGenerator[None, None]:
        """Around a fetch. Raises QueueFull at once, QueueTimeout after so many seconds."""
        if at_once != self._at_once:
            self._at_once, self._free = at_once, asyncio.Semaphore(at_once)
        free = self._free
        if free.locked():
            await self._wait(free, queue, seconds)
        else:
            await free.acquire()
        try:
            yield
        finally:
            free.release()

    async def _wait(self, free: asyncio.Semaphore, queue: int, seconds: float) -> None:
        if self._waiting >= queue:
            raise QueueFull("Too many pictures are being fetched; try again soon.", retry_after=SOON)
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await free.acquire()
        except TimeoutError:
            message = "The fetch of a picture waited too long for its turn; try again soon."
            raise QueueTimeout(message, retry_after=SOON) from None
        finally:
            self._waiting -= 1
