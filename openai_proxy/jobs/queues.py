"""Where jobs stand in their queues, as it was a moment ago: everybody who waits asks again and again."""

from __future__ import annotations

import asyncio
import time

from openai_proxy.jobs.store import Store

# Seconds that what was read is good for, in all and for each job in the queue: the longer it is the less it matters.
FRESH, FRESH_EACH = 0.02, 0.0002


class Queues:
    """The queue of each model that somebody asks about. Whoever asks while it is being read waits for that."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, tuple[float, dict[str, int]]] = {}
        self._reading: dict[str, asyncio.Task[dict[str, int]]] = {}

    async def position(self, model: str, id: str) -> int:
        """Its place, counted from 1; the last one for a job that came since. Raises StoreFailed."""
        until, places = self._known.get(model, (0.0, {}))
        if time.monotonic() >= until:
            places = await asyncio.shield(self._reader(model))
        return places.get(id, len(places) + 1)

    def _reader(self, model: str) -> asyncio.Task[dict[str, int]]:
        """One reads for all who ask meanwhile."""
        reader = self._reading.get(model)
        if reader is None:
            reader = self._reading[model] = asyncio.create_task(self._read(model), name=f"read queue of {model}")
            reader.add_done_callback(asyncio.Task.exception)  # whoever asked may have gone meanwhile
        return reader

    async def _read(self, model: str) -> dict[str, int]:
        try:
            ids = await self.store.queue(model)
        finally:
            del self._reading[model]
        places = {each: place for place, each in enumerate(ids, 1)}
        self._known[model] = time.monotonic() + FRESH + FRESH_EACH * len(places), places
        return places
