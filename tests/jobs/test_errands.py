"""What dialects see to beyond one job, with every store."""

from __future__ import annotations

import asyncio
import copy
import time
from pathlib import Path

import pytest

from openai_proxy.jobs.shelf import Errand
from tests.jobs.desk import desk
from tests.jobs.stores import store

RUNNING, ALL = ("running",), ("running", "done")


def errand(id: str, **fields: object) -> Errand:
    given = {"origin": "test", "owner": "ann", "state": "running", "data": b"data", "created": 1.0}
    return Errand(**{"id": id, **given, **fields})  # type: ignore[arg-type]


def test_a_change_is_taken_from_who_knows_the_latest_version(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            first = errand("one", due=2.0, until=9e12)
            assert await kept.shelf.put(first)
            assert (first.version, first.place > 0) == (1, True)
            assert not await kept.shelf.put(errand("one"))
            found = await kept.shelf.find(["one", "two"])
            assert found == {"one": first}
            other = found["one"]
            first.state, first.data = "done", b"more"
            assert await kept.shelf.put(first)
            assert not await kept.shelf.put(other)
            assert (await kept.shelf.find(["one"]))["one"] == first

    asyncio.run(check())


def test_they_are_listed_and_counted_by_owner_and_state(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            for number in range(5):
                assert await kept.shelf.put(errand(f"e{number}", state="done" if number % 2 else "running"))
            assert await kept.shelf.put(errand("bobs", owner="bob"))
            assert await kept.shelf.put(errand("other", origin="other"))
            assert await kept.shelf.ids("test", "ann", ALL, 10) == [f"e{number}" for number in range(5)]
            assert await kept.shelf.ids("test", "ann", ALL, 2) == ["e3", "e4"]
            assert await kept.shelf.ids("test", "ann", ("done",), 10) == ["e1", "e3"]
            assert await kept.shelf.count("test", "ann", RUNNING) == 3
            assert await kept.shelf.count("test", None, RUNNING) == 4

    asyncio.run(check())


def test_what_is_due_is_taken_by_one_and_again_when_that_one_is_gone(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            shelf = kept.shelf
            later = time.time() + 1000
            for id, due in (("b", 2.0), ("a", 1.0), ("later", later), ("never", None)):
                assert await shelf.put(errand(id, due=due))
            assert await shelf.take(["other"], 30.0, 10) == []
            [first] = await shelf.take(["test", "other"], 30.0, 1)
            assert (first.id, first.version) == ("b", 2)
            assert [each.id for each in await shelf.take(["test"], 30.0, 10)] == ["a"]
            assert await shelf.take(["test"], 30.0, 10) == []
            await shelf.beat({"b": 1}, -1.0)  # of somebody who had it before
            assert await shelf.take(["test"], 30.0, 10) == []
            await shelf.beat({"b": 2}, -1.0)
            [again] = await shelf.take(["test"], 30.0, 10)
            assert (again.id, again.version) == ("b", 3)
            assert not await shelf.put(first)

    asyncio.run(check())


def test_those_whose_time_is_over_are_forgotten(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            for id, until in (("old", 1.0), ("new", 9e12), ("kept", None)):
                assert await kept.shelf.put(errand(id, until=until))
            await kept.shelf.sweep()
            assert await kept.shelf.ids("test", "ann", ALL, 10) == ["new", "kept"]

    asyncio.run(check())


def test_an_errand_is_run_at_once_and_by_the_next_process_when_it_was_not_done(database: str, tmp_path: Path) -> None:
    if database == "memory":
        pytest.skip("memory is gone with the process")

    async def check() -> None:
        begun = asyncio.Event()

        async def stuck(_: Errand) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with desk(database, tmp_path) as server:
            server.jobs.errands.run_by("test", stuck)
            assert await server.jobs.errands.begin(errand("one"))
            assert not await server.jobs.errands.begin(errand("one"))
            await asyncio.wait_for(begun.wait(), 5)
        async with desk(database, tmp_path) as server:
            errands, done = server.jobs.errands, asyncio.Event()

            async def run(each: Errand) -> None:
                each.state, each.due = "done", None
                assert await errands.save(each)
                done.set()

            errands.run_by("test", run)
            server.jobs.resume()
            await server.jobs.open()
            await asyncio.wait_for(done.wait(), 5)
            assert await errands.ids("test", "ann", ("done",)) == ["one"]

    asyncio.run(check())


def test_one_that_waits_for_its_time_is_run_then_and_one_that_is_held_is_not(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            errands, ran = server.jobs.errands, asyncio.Event()
            seen: list[tuple[str, float]] = []

            async def run(each: Errand) -> None:
                seen.append((each.id, time.time()))
                if each.id == "again" and len(seen) == 1:
                    each.due = time.time() + 0.5
                    assert await errands.save(each)
                else:
                    ran.set()

            errands.run_by("test", run)
            held = errand("held")
            assert await errands.add(held)
            errands.hold(held)
            assert await errands.begin(errand("again"))
            await asyncio.wait_for(ran.wait(), 5)
            assert [id for id, _ in seen] == ["again", "again"]
            assert seen[1][1] - seen[0][1] >= 0.5

    asyncio.run(check())


def test_who_runs_one_may_hold_a_copy_until_it_leaves_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with desk("memory", tmp_path) as server:
            errands, runs = server.jobs.errands, asyncio.Semaphore(0)
            copies: list[Errand] = []

            async def run(each: Errand) -> None:
                copies.append(copy.copy(each))
                errands.hold(copies[-1])
                runs.release()

            errands.run_by("test", run)
            assert await errands.begin(errand("one"))
            await asyncio.wait_for(runs.acquire(), 5)
            await asyncio.sleep(0)
            assert (await errands.find(["one"]))["one"] == copies[0]
            assert errands.shelf is not None
            await errands.shelf.beat({"one": copies[0].version}, -1.0)  # as if it had not been held
            await asyncio.wait_for(runs.acquire(), 5)
            assert copies[1].version == copies[0].version + 1
            errands.leave(copies[1])
            assert not await errands.save(copies[0])

    asyncio.run(check())
