"""Jobs that have ended and are asked about again and again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from backends.events import Delta
from backends.requests import ChatRequest
from openai_proxy.errors import JobNotFound, StoreFailed
from openai_proxy.jobs.encoding import decode_events
from openai_proxy.jobs.ended import BESIDE, FRESH, MOST, MOST_OF_ONE, Ended
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.result import Result
from openai_proxy.jobs.work import Work
from tests.jobs.desk import desk
from tests.jobs.stores import record


def test_only_what_succeeded_is_remembered_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended()
    for state in ("succeeded", "failed", "canceled"):
        ended.put(record(id=state, state=state), [])
    assert [id for id in ("succeeded", "failed", "canceled") if ended.get(id)] == ["succeeded"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + FRESH - 1)
    assert ended.get("succeeded") is not None
    monkeypatch.setattr(time, "monotonic", lambda: now + FRESH + 1)
    assert ended.get("succeeded") is None


def test_what_is_written_twice_is_remembered_once() -> None:
    """As when a job ends while what it made so far is being written."""
    work = Work(record(), ChatRequest(model="echo", messages=()))
    steps = []
    for word in ("one", "two", "three"):
        work.events.append(Delta(word))
        steps.append(work.step())
    for step in (steps[0], steps[2], steps[1]):
        work.wrote(step)
    work.events.append(Delta("four"))
    work.wrote(work.step())
    assert [event for _, data in work.pieces for event in decode_events(data)] == work.events


def test_the_oldest_give_way_when_all_are_too_large() -> None:
    ended = Ended()
    most = MOST_OF_ONE - BESIDE
    ended.put(record(id="large", state="succeeded"), [(0, bytes(most + 1))])
    assert ended.get("large") is None
    fit = MOST // MOST_OF_ONE
    for number in range(fit):
        ended.put(record(id=f"{number}", state="succeeded"), [(0, bytes(most))])
        ended.put(record(id=f"{number}", state="succeeded"), [(0, bytes(most))])
    assert all(ended.get(f"{number}") for number in range(fit))
    ended.put(record(id="new", state="succeeded"), [])
    assert ended.get("0") is None
    assert ended.get("1") is not None


async def check_without_store(jobs: Jobs, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be told while the store cannot be asked."""

    async def fail(*_: object) -> None:
        raise StoreFailed

    with monkeypatch.context() as broken:
        broken.setattr(jobs.store, "find", fail)
        broken.setattr(jobs.store, "events", fail)
        assert (await jobs.get(id, "ann")).state == "succeeded"
        assert Result.of(await jobs.events(id, "ann")).text == "one two three"
        assert len([event async for event in jobs.follow(id, "ann", 2)]) == len(await jobs.events(id, "ann")) - 2
        with pytest.raises(JobNotFound):
            await jobs.get(id, "bob")


def test_the_store_is_asked_once_about_what_has_ended(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database == "memory":
        pytest.skip("it is gone with its process")

    async def check() -> None:
        async with desk(database, tmp_path) as server:
            job = await server.jobs.submit(server.order())
            job = await server.jobs.wait(job.id, "ann")
            await check_without_store(server.jobs, job.id, monkeypatch)
        async with desk(database, tmp_path) as server:
            assert await server.jobs.get(job.id, "ann") == job
            assert Result.of(await server.jobs.events(job.id, "ann")).text == "one two three"
            await check_without_store(server.jobs, job.id, monkeypatch)

    asyncio.run(check())
