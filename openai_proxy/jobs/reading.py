"""Reads of what is not in memory, together: a thousand clients that poll cost some fifty reads a second."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

# The first read goes at once, the next ones not earlier than so many seconds after it.
GATHER = 0.02


class Source(Protocol[T]):
    """Where jobs are kept, or errands."""

    async def find(self, ids: Collection[str]) -> dict[str, T]: ...


class Reading(Generic[T]):
    """Whoever asks while a read is on its way waits for the next, with all others."""

    def __init__(self, store: Source[T]) -> None:
        self.store = store
        self._wanted: dict[str, asyncio.Future[T | None]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def find(self, id: str) -> T | None:
        """Raises StoreFailed."""
        wanted = self._wanted.get(id)
        if wanted is None:
            wanted = self._wanted[id] = asyncio.get_running_loop().create_future()
            if self._reader is None:
                self._reader = asyncio.create_task(self._read(), name="read jobs")
        return await asyncio.shield(wanted)

    async def _read(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._answer(wanted)
                await asyncio.sleep(GATHER)
        finally:
            self._reader = None

    async def _answer(self, wanted: dict[str, asyncio.Future[T | None]]) -> None:
        try:
            found = await self.store.find(wanted)
        except Exception as error:  # noqa: BLE001 - told to all who asked
            for future in wanted.values():
                future.set_exception(error)
                future.exception()  # whoever asked may have gone meanwhile
            return
        for id, future in wanted.items():
            future.set_result(found.get(id))
