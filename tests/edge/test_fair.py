"""Who reads next: nobody waits for all that somebody else has handed in."""

from __future__ import annotations

import asyncio
import contextlib

from openai_proxy.fair import Turns


async def soon() -> None:
    """Let all go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Reading:
    """Documents of two steps each, of which `done` tells, and which wait for `step`."""

    def __init__(self, at_once: int = 1) -> None:
        self.turns = Turns(at_once)
        self.done: list[str] = []
        self.step = asyncio.Event()

    def begin(self, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._read(name))

    async def _read(self, name: str) -> None:
        async with self.turns.of(name[0]) as turn:
            self.done.append(name)
            await self.step.wait()
            await turn.pause()
            self.done.append(name)


def test_owners_take_turns_and_read_one_document_after_the_other() -> None:
    async def work() -> None:
        reading = Reading()
        tasks = []
        for name in ("a1", "a2", "b1", "b2", "c1"):
            tasks.append(reading.begin(name))
            await soon()
        assert reading.done == ["a1"]
        reading.step.set()
        await asyncio.gather(*tasks)
        assert reading.done == ["a1", "b1", "c1", "a1", "b1", "c1", "a2", "b2", "a2", "b2"]
        assert (reading.turns.free, reading.turns.lines) == (1, {})

    asyncio.run(work())


def test_several_are_read_at_once() -> None:
    async def work() -> None:
        reading = Reading(2)
        tasks = [reading.begin(name) for name in ("a1", "a2", "a3")]
        await soon()
        assert reading.done == ["a1", "a2"]
        reading.step.set()
        await asyncio.gather(*tasks)
        assert reading.turns.free == 2

    asyncio.run(work())


def test_no_turn_is_lost_with_who_leaves() -> None:
    async def work() -> None:
        reading = Reading()
        tasks = []
        for name in ("a1", "b1", "b2", "c1", "d1"):
            tasks.append(reading.begin(name))
            await soon()
        tasks[1].cancel()  # it waits
        tasks[0].cancel()  # it reads
        await asyncio.sleep(0)
        tasks[2].cancel()  # its turn has come, and it may not know
        await soon()
        reading.step.set()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert set(reading.done) >= {"a1", "c1", "d1"}
        assert (reading.turns.free, reading.turns.lines) == (1, {})

    asyncio.run(work())
