"""A backend whose engine lives in a workshop: all of it but its model, its options and what it asks."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from backends import Setup, State
from backends.life import Life
from backends.quarantine import Quarantine
from backends.workshop.workshop import Workshop

A = TypeVar("A")


class Resident(Generic[A]):
    """`engine` ("module:Class") answers with pieces of the type `answer`: `slots` questions at once unless the settings
    say otherwise, in `most` threads where that is less.
    """

    def __init__(self, setup: Setup, engine: str, answer: Any, *, slots: int, most: int | None = None) -> None:
        self.slots = setup.slots or slots
        self._life = Life(setup.changed)
        self._quarantine = Quarantine()
        threads = min(most or self.slots, self.slots)
        self._workshop: Workshop[A] = Workshop(engine, answer, self._life, self._quarantine.died, threads=threads)

    @property
    def state(self) -> State:
        return self._life.state

    @property
    def pid(self) -> int | None:
        """The engine's process."""
        return self._workshop.pid

    async def start(self) -> None:
        """Load the engine. Raises LoadFailed or OSError."""
        await self._workshop.start()

    async def close(self) -> None:
        """End the engine, and with it what it works on. Safe to call twice."""
        await self._workshop.close()
