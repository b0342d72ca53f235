"""An engine in a process of its own: what is asked of it, what it tells, and its life."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from backends import State, process
from backends.errors import EngineFailed, LoadFailed, Refused, Unavailable
from backends.life import Life
from backends.workshop import Workshop
from tests.backends.workshop.engines import Count

COUNTER = "tests.backends.workshop.engines:Counter"


class Room:
    """A workshop of the counter, and what became of it."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self.states: list[State] = []
        self.deaths = 0
        self.life = Life(lambda: self.states.append(self.life.state))
        self.workshop: Workshop[int] = Workshop(COUNTER, int, self.life, self._died, threads=threads)

    def _died(self) -> None:
        self.deaths += 1

    async def counted(self, question: Count) -> list[int]:
        async with aclosing(self.workshop.ask(question)) as numbers:
            return [number async for number in numbers if number is not None]

    def allow(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    @property
    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().split() if file.exists() else []


async def soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(folder: Path, threads: int = 1) -> AsyncGenerator[Room]:
    room = Room(folder, threads)
    await room.workshop.start({"folder": str(folder)})
    try:
        yield room
    finally:
        await room.workshop.close()
        assert room.workshop.pid is None
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_its_answers(tmp_path: Path) -> None:
    """In order, each to its asker; with megabytes of question; refusals and bugs are told, and nothing else breaks."""

    async def story() -> None:
        async with opened(tmp_path, threads=2) as room:
            assert room.workshop.about(dict[str, bool]) == {"counts": True}
            many = await asyncio.gather(*(room.counted(Count(number)) for number in range(8)))
            assert many == [list(range(number)) for number in range(8)]
            assert await room.counted(Count(1, data=bytes(20_000_000))) == [20_000_000]
            with pytest.raises(Refused, match="no such number") as refused:
                await room.counted(Count(3, fails=1, how="refuse"))
            assert refused.value.param == "to"
            with pytest.raises(EngineFailed):
                await room.counted(Count(3, fails=0, how="break"))
            assert await room.counted(Count(2)) == [0, 1]
            assert room.life.state == State("ready")

    asyncio.run(story())


def test_no_piece_is_made_before_it_is_asked_for_nor_after_its_asker_left(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as room:
            async with aclosing(room.workshop.ask(Count(5, "a"))) as numbers:
                assert await anext(numbers) == 0
                assert await room.counted(Count(1, "b")) == [0]
                assert [note for note in room.notes if note != "closed"] == ["a0", "b0"]
            await soon(lambda: room.notes.count("closed") == 2)
            # One that waits for the only thread is not begun when its asker leaves.
            async with aclosing(room.workshop.ask(Count(1, "c", waits=True))) as numbers:
                assert await anext(numbers) is None
                waiting = asyncio.create_task(room.counted(Count(1, "d")))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            await soon(lambda: "gone" in room.notes)
            assert await room.counted(Count(1, "e")) == [0]
            assert "d0" not in room.notes

    asyncio.run(story())


def test_questions_take_turns_and_give_signs_of_life(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as room:
            async with aclosing(room.workshop.ask(Count(1, "a", waits=True))) as numbers:
                assert await anext(numbers) is None
                two = asyncio.gather(room.counted(Count(4, "b")), room.counted(Count(4, "c")))
                await asyncio.sleep(0)
                room.allow("a0")
                assert [number async for number in numbers if number is not None] == [0]
            await two
            made = [note for note in room.notes if note[0] in "bc" and note != "closed"]
            assert made[:4] == ["b0", "c0", "b1", "c1"]

    asyncio.run(story())


def test_one_that_dies_fails_what_it_works_on_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST_BACKOFF", 0.01)

    async def story() -> None:
        async with opened(tmp_path) as room:
            first = room.workshop.pid
            running = asyncio.create_task(room.counted(Count(1, waits=True)))
            with pytest.raises(EngineFailed):
                await room.counted(Count(1, fails=0, how="die"))
            with pytest.raises(EngineFailed):
                await running
            await soon(lambda: room.deaths)
            with pytest.raises(Unavailable):
                await room.counted(Count(1))
            await soon(lambda: room.life.state.name == "ready")
            assert room.workshop.pid != first
            assert await room.counted(Count(2)) == [0, 1]
        assert [state.name for state in room.states] == ["loading", "ready", "restarting", "ready", "stopped"]

    asyncio.run(story())


def test_one_that_is_stuck_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HEARTBEAT", 0.1)
    monkeypatch.setattr(process, "SILENCE", 0.3)
    monkeypatch.setattr(process, "LONGEST_BACKOFF", 0.01)

    async def story() -> None:
        async with opened(tmp_path) as room:
            first = room.workshop.pid
            assert first is not None
            await asyncio.sleep(0.5)
            assert room.workshop.pid == first
            os.kill(first, signal.SIGSTOP)
            await soon(lambda: room.workshop.pid not in (None, first))
            await soon(lambda: room.life.state.name == "ready")

    asyncio.run(story())


def test_it_outlasts_a_signal_that_was_meant_for_the_server(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as room:
            assert room.workshop.pid is not None
            os.kill(room.workshop.pid, signal.SIGTERM)
            assert await room.counted(Count(2)) == [0, 1]
            running = asyncio.create_task(room.counted(Count(1, waits=True)))
            await asyncio.sleep(0)
            await room.workshop.close()
            with pytest.raises(EngineFailed):
                await running
            await room.workshop.close()
            with pytest.raises(Unavailable):
                await room.counted(Count(1))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("engine", "reason"),
    [(COUNTER, "the weights are others"), ("tests.backends.workshop.none:Engine", "No module named")],
)
def test_one_that_cannot_be_loaded_says_why(tmp_path: Path, engine: str, reason: str) -> None:
    async def story() -> None:
        life = Life(lambda: None)
        workshop: Workshop[int] = Workshop(engine, int, life, lambda: None, threads=1)
        with pytest.raises(LoadFailed, match=reason):
            await workshop.start({"folder": str(tmp_path), "broken": reason})
        assert life.state.name == "failed"
        assert reason in life.state.note
        assert workshop.pid is None
        await workshop.close()

    asyncio.run(story())


def test_a_killed_server_leaves_no_process(tmp_path: Path) -> None:
    script = f"""
import asyncio
from backends.life import Life
from backends.workshop import Workshop

async def main():
    workshop = Workshop({COUNTER!r}, int, Life(lambda: None), lambda: None, threads=1)
    await workshop.start({{"folder": {str(tmp_path)!r}}})
    print(workshop.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()

    asyncio.run(soon(lambda: not alive(child)))
