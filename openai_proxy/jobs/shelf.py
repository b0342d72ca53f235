"""Errands: what a dialect sees to beyond one job, such as jobs that follow one another, or one every hour.

A shelf keeps them. Whoever takes one that is due has it for a while, and a change is taken only from who knows the
latest version: so an errand is run by one process at a time, and goes on elsewhere when that one dies.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct


class Errand(Struct, kw_only=True):
    """`state` and `data` are the dialect's, `origin`, own; `owner` is whose it is. Times are Unix seconds.

    It is run when it is `due`, never where that is None, and forgotten after `until`. `version` counts its changes and
    is 0 before it is kept; `place` counts errands as they came.
    """

    id: str
    origin: str
    owner: str
    state: str
    data: bytes
    created: float
    due: float | None = None
    until: float | None = None
    version: int = 0
    place: int = 0


class Shelf(Protocol):
    """Every method may raise StoreFailed."""

    async def put(self, errand: Errand) -> bool:
        """Keep a new errand for good, or a change of one; False where another version is there. Sets its version."""
        ...

    async def find(self, ids: Collection[str]) -> dict[str, Errand]:
        """These errands, as far as they are there."""
        ...

    async def ids(self, origin: str, owner: str, states: Collection[str], limit: int) -> list[str]:
        """The newest errands of somebody in one of these states, the newest last."""
        ...

    async def count(self, origin: str, owner: str | None, states: Collection[str]) -> int:
        """How many there are in these states; of everybody if `owner` is None."""
        ...

    async def take(self, origins: Collection[str], seconds: float, limit: int) -> list[Errand]:
        """Errands that are due, the oldest first; they are due again in so many seconds, unless `beat`."""
        ...

    async def beat(self, held: Mapping[str, int], seconds: float) -> None:
        """Those that still have this version are due only in so many seconds."""
        ...

    async def sweep(self) -> None:
        """Forget those whose time is over."""
        ...


class MemoryShelf:
    """See `Shelf`."""

    def __init__(self) -> None:
        self.errands: dict[str, Errand] = {}
        self._places = itertools.count(1)

    async def put(self, errand: Errand) -> bool:
        there = self.errands.get(errand.id)
        if errand.version != (0 if there is None else there.version):
            return False
        errand.version += 1
        errand.place = next(self._places) if there is None else there.place
        self.errands[errand.id] = copy.copy(errand)
        return True

    async def find(self, ids: Collection[str]) -> dict[str, Errand]:
        return {id: copy.copy(self.errands[id]) for id in ids if id in self.errands}

    async def ids(self, origin: str, owner: str, states: Collection[str], limit: int) -> list[str]:
        return [errand.id for errand in self._such(origin, owner, states)][-limit:]

    async def count(self, origin: str, owner: str | None, states: Collection[str]) -> int:
        return len(self._such(origin, owner, states))

    def _such(self, origin: str, owner: str | None, states: Collection[str]) -> list[Errand]:
        fitting = [
            each
            for each in self.errands.values()
            if each.origin == origin and owner in (None, each.owner) and each.state in states
        ]
        return sorted(fitting, key=lambda errand: errand.place)

    async def take(self, origins: Collection[str], seconds: float, limit: int) -> list[Errand]:
        now = time.time()
        due = [
            each
            for each in self.errands.values()
            if each.origin in origins and each.due is not None and each.due <= now
        ]
        taken = sorted(due, key=lambda errand: errand.place)[:limit]
        for errand in taken:
            errand.due, errand.version = now + seconds, errand.version + 1
        return [copy.copy(errand) for errand in taken]

    async def beat(self, held: Mapping[str, int], seconds: float) -> None:
        for id, version in held.items():
            errand = self.errands.get(id)
            if errand is not None and errand.version == version and errand.due is not None:
                errand.due = time.time() + seconds

    async def sweep(self) -> None:
        now = time.time()
        for errand in tuple(self.errands.values()):
            if errand.until is not None and errand.until < now:
                del self.errands[errand.id]
