"""One request's pictures: which are still to be drawn, and what has come of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from backends.diffusers.messages import Drawn
from backends.diffusers.order import Order
from backends.errors import BackendError, Refused
from backends.events import Event, Picture, Progress, Usage

# Of a side of what one token stands for: a patch of most models that draw.
TILE = 16


class Job:
    """An order on its way. What it gathers is bounded by the order: of progress only the last is kept."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.waiting = deque(range(len(order.pieces)))
        self._drawn = 0
        self._tokens = 0
        self._events: deque[Event] = deque()
        self._progress: Progress | None = None
        self._error: BackendError | None = None
        self._news = asyncio.Event()

    async def events(self) -> AsyncGenerator[Event, None]:
        """As they come; Usage last. Raises what `fail` was given."""
        while self._drawn < len(self.order.pieces) or self._events:
            await self._news.wait()
            self._news.clear()
            while self._events:
                yield self._events.popleft()
            if self._error is not None:
                raise self._error
            if self._progress is not None:
                progress, self._progress = self._progress, None
                yield progress
        yield self._usage()

    def step(self, done: float, pieces: int) -> None:
        """Of the pieces that are drawn now the share `done` is; none of them if it still waits."""
        whole = len(self.order.pieces)
        note = "drawing" if pieces or self._drawn else "waiting"
        self._progress = Progress(min(1.0, (self._drawn + done * pieces) / whole), note)
        self._news.set()

    def show(self, place: int, partial: int, data: bytes) -> None:
        self._tell(Picture(data, place, partial))

    def finish(self, place: int, drawn: Drawn) -> None:
        if drawn.data is None:
            self.fail(Refused("The model's own check withholds what it drew.", param="prompt"))
            return
        self._drawn += 1
        self._tokens = drawn.tokens
        self._tell(Picture(drawn.data, place))

    def fail(self, error: BackendError) -> None:
        """It comes to nothing more; the first reason counts."""
        self.waiting.clear()
        self._error = self._error or error
        self._news.set()

    def _tell(self, event: Event) -> None:
        self._progress = None
        self._events.append(event)
        self._news.set()

    def _usage(self) -> Usage:
        look = self.order.look
        tiles = -(-look.width // TILE) * -(-look.height // TILE)
        seen = tiles * len(self.order.pieces[0].images)
        return Usage(prompt=self._tokens + seen, completion=tiles * len(self.order.pieces), pictures=seen)
