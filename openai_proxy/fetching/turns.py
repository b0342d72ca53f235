"""Who may fetch now: so many at once, and so many who wait; owners take turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from openai_proxy import fair
from openai_proxy.errors import QueueFull, QueueTimeout

# Seconds after which somebody may come again: fetches are short.
SOON = 1.0


class Turns:
    """Whoever comes when the numbers have changed belongs to the new ones; nobody who is there has to leave."""

    def __init__(self) -> None:
        self._at_once = 0
        self._turns = fair.Turns(0)
        # How many fetches run or wait, by whose they are.
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, owner: str, at_once: int, queue: int, seconds: float) -> AsyncGenerator[None, None]:
        """Around a fetch. Raises QueueFull at once or later, QueueTimeout after so many seconds."""
        if at_once != self._at_once:
            self._at_once, self._turns = at_once, fair.Turns(at_once)
        if not self._turns.free and self._turns.waiting >= queue:
            self._make_room(owner)
        self._held[owner] += 1
        try:
            async with AsyncExitStack() as stack:
                await self._enter(stack, self._turns.of(owner), seconds)
                yield
        finally:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]

    async def _enter(self, stack: AsyncExitStack, turn: fair.Turn, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await stack.enter_async_context(turn)
        except TimeoutError:
            message = "The fetch waited too long for its turn; try again soon."
            raise QueueTimeout(message, retry_after=SOON) from None

    def _make_room(self, owner: str) -> None:
        """At the cost of whoever has most, if that is not the owner. Raises QueueFull."""
        full = QueueFull("Too many addresses are being fetched; try again soon.", retry_after=SOON)
        most = max(self._turns.lines, key=self._held.__getitem__, default=owner)
        if self._held[most] <= self._held[owner] + 1:
            raise full
        self._turns.turn_away(most, full)
