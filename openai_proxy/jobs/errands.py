"""The one door to errands: keeps them, and has each run by its dialect when it is due."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeAlias

from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.reading import Reading
from openai_proxy.jobs.shelf import Errand, Shelf

# Runs an errand until it has nothing to do for now, and has kept that. What it raises is logged; then it is run again.
Run: TypeAlias = Callable[[Errand], Awaitable[None]]

# Seconds: how often it is looked what is due; how long an errand is its process's, and how often that is renewed.
LOOK_EVERY, HELD, BEAT_EVERY, SWEEP_EVERY = 1.0, 30.0, 10.0, 60.0
# As many run at once in a process; others wait on the shelf.
AT_ONCE = 256
# Ids of one list.
LISTED = 10_000

log = logging.getLogger("openai_proxy.jobs")


class Errands:
    """`opened` waits until there is a shelf, and may raise StoreFailed, as may all methods."""

    shelf: Shelf | None = None
    _reading: Reading[Errand]

    def __init__(self, opened: Callable[[], Awaitable[None]]) -> None:
        self._opened = opened
        self._runs: dict[str, Run] = {}
        self._held: dict[str, Errand] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stirred = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._due: dict[str, float] = {}

    def run_by(self, origin: str, run: Run) -> None:
        """Have errands of that origin run so."""
        self._runs[origin] = run

    # Its life

    def open(self, shelf: Shelf) -> None:
        """Begin to look after errands."""
        self.shelf = shelf
        self._reading = Reading(shelf)
        self._loop = asyncio.create_task(self._look_after(shelf), name="errands")

    async def close(self) -> None:
        """Give back what is not done: it is due at once, for another process or the next one."""
        tasks = [task for task in (self._loop, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        held = {errand.id: errand.version for errand in self._held.values()}
        if tasks:
            await asyncio.wait(tasks)
        if held and self.shelf is not None:
            try:
                await self.shelf.beat(held, 0.0)
            except StoreFailed as error:
                log.warning("errands are not given back: %s", error)

    # An errand

    async def begin(self, errand: Errand) -> bool:
        """Keep a new errand, and run it at once where there is room. False, and nothing is done, if its id is taken."""
        shelf = await self._open_shelf()
        room = self._room() > 0
        errand.due = time.time() + (HELD if room else 0.0)
        if not await shelf.put(errand):
            return False
        if room:
            self._start(errand)
        return True

    async def add(self, errand: Errand) -> bool:
        """Keep a new errand that the caller runs, and is about to `hold`. False if its id is taken."""
        errand.due = time.time() + HELD
        return await self.save(errand)

    def hold(self, errand: Errand) -> None:
        """Have nobody else run an errand until it is saved again. Who runs it may hold a copy for later."""
        self._held[errand.id] = errand

    def leave(self, errand: Errand) -> None:
        """Hold it no longer: it is run when it is due."""
        self._held.pop(errand.id, None)

    async def save(self, errand: Errand) -> bool:
        """Keep a change, or a new errand that is not run now. False where somebody else changed it since it was read,
        or, if it is new, its id is taken.
        """
        self._held.pop(errand.id, None)
        shelf = await self._open_shelf()
        return await shelf.put(errand)

    async def find(self, ids: Collection[str]) -> dict[str, Errand]:
        """These, as far as they are there; those that this process runs as it knows them."""
        await self._open_shelf()
        known = {id: copy.copy(self._held[id]) for id in ids if id in self._held}
        # PostgreSQL takes no NUL.
        missing = [id for id in dict.fromkeys(ids) if id not in known and "\0" not in id]
        found = await asyncio.gather(*(self._reading.find(id) for id in missing))
        return known | {errand.id: copy.copy(errand) for errand in found if errand is not None}

    async def ids(self, origin: str, owner: str, states: Collection[str]) -> list[str]:
        """The newest of somebody's in these states, the newest last."""
        shelf = await self._open_shelf()
        return await shelf.ids(origin, owner, states, LISTED)

    async def count(self, origin: str, owner: str | None, states: Collection[str]) -> int:
        """How many there are in these states; of everybody if `owner` is None. Waits for nothing: 0 before any use."""
        if self.shelf is None:
            return 0
        return await self.shelf.count(origin, owner, states)

    async def _open_shelf(self) -> Shelf:
        await self._opened()
        assert self.shelf is not None
        return self.shelf

    # Running them

    def _room(self) -> int:
        return AT_ONCE - len(self._tasks)

    def _start(self, errand: Errand) -> None:
        self._held[errand.id] = errand
        task = asyncio.create_task(self._run(errand), name=f"errand {errand.id}")
        self._tasks[errand.id] = task
        task.add_done_callback(lambda _: self._left(errand))

    def _left(self, errand: Errand) -> None:
        self._tasks.pop(errand.id, None)
        if self._held.get(errand.id) is errand:
            del self._held[errand.id]
        self._stirred.set()

    async def _run(self, errand: Errand) -> None:
        try:
            await self._runs[errand.origin](errand)
        except StoreFailed as error:
            log.warning("errand %s is tried again later: %s", errand.id, error)
        except Exception:
            log.exception("errand %s failed, and is tried again later", errand.id)

    async def _look_after(self, shelf: Shelf) -> None:
        while True:
            try:
                await self._once(shelf)
            except StoreFailed as error:
                log.warning("errands: %s", error)
                await asyncio.sleep(LOOK_EVERY)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _once(self, shelf: Shelf) -> None:
        self._stirred.clear()
        if self._held and self._is_due("beat", BEAT_EVERY):
            await shelf.beat({errand.id: errand.version for errand in self._held.values()}, HELD)
        if self._is_due("sweep", SWEEP_EVERY):
            await shelf.sweep()
        if self._runs and self._room() > 0:
            self._start_all(await shelf.take(self._runs, HELD, self._room()))

    def _start_all(self, errands: Iterable[Errand]) -> None:
        for errand in errands:
            if errand.id not in self._tasks:
                self._start(errand)

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True
