"""The replica's side of one answer: events that come while one message travels leave together in the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from backends.errors import BackendError
from backends.events import Event
from backends.ray.messages import WEIGHT, WINDOW, Message, encode, told

# Events that wait here at most: a backend that is faster than the network is held up.
MOST = 256


class Gathering:
    """An answer in messages. `beat`: seconds to wait after a message for more events, asked each time."""

    def __init__(self, events: AsyncGenerator[Event]) -> None:
        self._source = events
        self._waiting: list[Message] = []
        self._ended = False
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._sent = 0
        self._taken = 0

    def taken(self, size: int) -> None:
        """So many bytes in all were taken at the other end."""
        self._taken = max(self._taken, size)
        self._room.set()

    async def messages(self, beat: float) -> AsyncGenerator[bytes]:
        """The messages, not more often than one a `beat` but for the first; closing it closes the events."""
        gatherer = asyncio.create_task(self._gather())
        try:
            while not self._ended or self._waiting:
                await self._moved.wait()
                self._moved.clear()
                while self._sent - self._taken > WINDOW:
                    self._room.clear()
                    await self._room.wait()
                if self._waiting:
                    yield self._message()
                    if not self._ended and beat:
                        await asyncio.sleep(beat)
            await gatherer
        finally:
            gatherer.cancel()
            await asyncio.wait([gatherer])

    def _message(self) -> bytes:
        events, self._waiting = self._waiting, []
        self._room.set()
        data = encode(events)
        self._sent += len(data) + WEIGHT
        return data

    async def _gather(self) -> None:
        try:
            async with aclosing(self._source) as events:
                async for event in events:
                    self._waiting.append(event)
                    self._moved.set()
                    while len(self._waiting) >= MOST:
                        self._room.clear()
                        await self._room.wait()
        except BackendError as error:
            self._waiting.append(told(error))
        finally:
            self._ended = True
            self._moved.set()
