"""What is drawn next: pieces of waiting requests that are alike, together; and who gets what comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing

from msgspec import Struct, structs

from backends.diffusers.job import Job
from backends.diffusers.messages import (
    Done,
    Draw,
    Drawn,
    Failed,
    FromEngine,
    FromServer,
    Piece,
    Pixels,
    Shown,
    Step,
    Stop,
)
from backends.diffusers.order import ROOM, Order
from backends.errors import BackendError, EngineFailed, Overloaded, Unavailable
from backends.events import Event

log = logging.getLogger(__name__)


class Tallies(Struct):
    """What was done since the model's start, over all its engines."""

    pictures: int = 0
    batches: int = 0
    steps: int = 0
    stopped: int = 0


class Batch:
    """One Draw, and whose its pieces are."""

    def __init__(self, number: int, owners: Sequence[tuple[Job, int]]) -> None:
        self.number = number
        self.owners = owners
        self.left = len(owners)
        self.stopping = False

    @property
    def jobs(self) -> list[Job]:
        """Each once, in order."""
        return list(dict.fromkeys(job for job, _ in self.owners))

    def draw(self) -> Draw:
        """What the engine is told."""
        look = self.owners[0][0].order.look
        pixels: list[Pixels] = []
        first: dict[Job, int] = {}
        for job in self.jobs:
            first[job] = len(pixels)
            pixels += job.order.pixels
        return Draw(
            number=self.number,
            task=look.task,
            width=look.width,
            height=look.height,
            steps=look.steps,
            guidance=look.guidance,
            strength=look.strength,
            pieces=tuple(_moved(job.order.pieces[place], first[job]) for job, place in self.owners),
            pixels=tuple(pixels),
        )


class Easel:
    """The requests at one engine. `say` sends it a message."""

    def __init__(self, most: int, gather: float, tallies: Tallies, say: Callable[[FromServer], None]) -> None:
        self._most = most
        self._gather = gather if most > 1 else 0.0
        self._tallies = tallies
        self._say = say
        self._jobs: list[Job] = []
        self._batch: Batch | None = None
        self._number = 0
        self._work = asyncio.Event()
        self._ended = False

    @property
    def drawing(self) -> int | None:
        """The number of the batch that is drawn now."""
        return None if self._batch is None else self._batch.number

    @property
    def waiting(self) -> int:
        """Pictures that are not begun."""
        return sum(len(job.waiting) for job in self._jobs)

    async def draw(self, order: Order) -> AsyncGenerator[Event, None]:
        """Have an order drawn; closed early, it is given up within a step. Raises BackendError."""
        if self._ended:
            raise Unavailable
        job = Job(order)
        self._jobs.append(job)
        self._work.set()
        try:
            async with aclosing(job.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._jobs.remove(job)
            self._given_up()

    def _given_up(self) -> None:
        """Stop the engine's work if nobody is left who wants it."""
        batch = self._batch
        if batch is None or not batch.left or batch.stopping:
            return
        if not any(job in self._jobs for job in batch.jobs):
            batch.stopping = True
            self._say(Stop(batch.number))

    async def next(self) -> Batch:
        """The next batch, which the engine is to be told of; waits until there is something to draw."""
        while not self.waiting:
            self._work.clear()
            await self._work.wait()
            await asyncio.sleep(self._gather)
        first = next(job for job in self._jobs if job.waiting)
        self._number += 1
        self._tallies.batches += 1
        self._batch = Batch(self._number, list(self._alike(first)))
        return self._batch

    def _alike(self, first: Job) -> Iterator[tuple[Job, int]]:
        """The pieces to be drawn with the first one of a job, and that."""
        room = self._most if first.order.together else 1
        size = 0
        for job in self._jobs:
            if job.order.look != first.order.look or (size and size + job.order.size > ROOM):
                continue
            size += job.order.size
            while job.waiting and room:
                room -= 1
                yield job, job.waiting.popleft()

    def hear(self, batch: Batch, message: FromEngine) -> bool:
        """What the engine says of that batch; whether it is through with it."""
        match message:
            case Step(done, steps):
                self._tallies.steps += 1
                self._step(batch, done / max(1, steps))
            case Shown(piece, partial, data):
                job, place = batch.owners[piece]
                job.show(place, partial, data)
            case Drawn(piece):
                self._tallies.pictures += 1
                batch.left -= 1
                job, place = batch.owners[piece]
                job.finish(place, message)
            case Done() | Failed():
                self._through(batch, message)
                return True
        return False

    def _step(self, batch: Batch, done: float) -> None:
        """Who waits is told too: else nobody would know that the engine lives."""
        for job in self._jobs:
            job.step(done, sum(owner is job for owner, _ in batch.owners))

    def _through(self, batch: Batch, message: Done | Failed) -> None:
        self._batch = None
        if isinstance(message, Failed):
            self._tallies.stopped += message.why == "stopped"
            if message.text:
                log.warning("the pipeline failed: %s", message.text)
            for job in batch.jobs:
                job.fail(_error(message))

    def engine_ended(self) -> None:
        """Nothing comes any more, of what was begun and of what waits."""
        self._ended = True
        begun = self._batch.jobs if self._batch is not None else []
        for job in self._jobs:
            job.fail(EngineFailed() if job in begun else Unavailable())
        self._batch = None


def _moved(piece: Piece, first: int) -> Piece:
    """With its pixels from the place on where those of its request lie."""
    mask = None if piece.mask is None else piece.mask + first
    return structs.replace(piece, images=tuple(place + first for place in piece.images), mask=mask)


def _error(failed: Failed) -> BackendError:
    if failed.why == "memory":
        return Overloaded("There is not enough memory for such a picture now.")
    return EngineFailed()
