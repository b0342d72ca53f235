"""Jobs as dialects see them, with every store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from backends.events import Delta, Event
from backends.requests import ChatRequest, ImageRequest, Sampling, SpeechRequest
from openai_proxy.circuit import FAILURES
from openai_proxy.config import ModelConfig
from openai_proxy.errors import JobNotFound, KeyReused, ModelNotFound, TooManyJobs, WrongState
from openai_proxy.jobs.encoding import PIECE
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import Order
from openai_proxy.jobs.jobs import PAGE
from openai_proxy.jobs.recording import LONGEST, recorded
from openai_proxy.jobs.result import Result
from openai_proxy.jobs.store import Filter
from tests.jobs.desk import desk

ONE_SLOT = {"echo": ModelConfig(backend="echo", slots=1)}
LONG = " ".join(["word"] * 60)


def test_a_job_is_answered_and_its_events_can_be_read_again(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            begun = await server.jobs.submit(server.order(sent=b"{}", address="10.0.0.1"))
            assert (begun.kind, begun.model, begun.sent, begun.address) == ("chat", "echo", b"{}", "10.0.0.1")
            job = await server.jobs.wait(begun.id, "ann")
            assert (job.state, job.progress, job.position, job.attempt, job.failure) == ("succeeded", 1.0, 0, 1, None)
            assert job.created <= (job.started or 0) <= (job.first or 0) <= (job.finished or 0) <= time.time()
            result = Result.of(await server.jobs.events(job.id, "ann"))
            assert (result.text, result.answers[0].reason) == ("one two three", "stop")
            assert result.usage is not None
            assert result.usage.completion == 3
            events = [each async for each in server.jobs.follow(job.id, "ann")]
            assert [number for number, _ in events] == list(range(1, job.events + 1))
            assert [event for _, event in events] == await server.jobs.events(job.id, "ann")
            rest = [each async for each in server.jobs.follow(job.id, "ann", after=2)]
            assert rest == events[2:]

    asyncio.run(check())


def test_who_follows_slowly_has_little_of_it_in_memory(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            text = " ".join(["word"] * 1000)
            order = server.order(text)
            job = await server.jobs.submit(replace(order, request=replace(order.request, sampling=Sampling())))
            job = await server.jobs.wait(job.id, "ann")
            server.jobs._ended.clear()
            read: list[int] = []
            events = server.jobs.store.events

            async def counted(*given: Any) -> list[tuple[int, bytes]]:
                pieces = await events(*given)
                read.append(len(pieces))
                return pieces

            monkeypatch.setattr(server.jobs.store, "events", counted)
            following = server.jobs.follow(job.id, None)
            await anext(following)
            assert read == [PAGE]
            assert len([each async for each in following]) == job.events - 1
            assert max(read) == PAGE
            assert sum(read) > job.events / PIECE

    asyncio.run(check())


def test_what_comes_in_one_piece_is_kept_in_several(tmp_path: Path) -> None:
    whole = Delta("ab" * LONGEST, 1, "c" * (LONGEST + 1), logprobs=())

    async def answer() -> AsyncGenerator[Event, None]:
        yield Delta("d")
        yield whole

    async def check() -> None:
        found = [each async for each in recorded(answer(), Files(str(tmp_path), ""), "", 1.0)]
        first, *rest = [each for each in found if isinstance(each, Delta)]
        assert first == Delta("d")
        assert [(len(each.text), len(each.reasoning)) for each in rest] == [(LONGEST, LONGEST), (LONGEST, 1)]
        assert "".join(each.text for each in rest) == whole.text
        assert [(each.index, each.logprobs) for each in rest] == [(1, ()), (1, None)]

    asyncio.run(check())


def test_a_job_waits_for_an_engine_that_is_given_a_pause(tmp_path: Path) -> None:
    async def check() -> None:
        async with desk("memory", tmp_path) as server:
            circuit = server.edge.router.models["echo"].circuit
            for _ in range(FAILURES):
                circuit.failed()
            waits = await server.jobs.submit(server.order())
            assert (waits.state, server.jobs.worker.room("echo")) == ("queued", 0)
            # Then one of them is the probe, for which the others wait.
            circuit._opened -= 60
            jobs = [waits, *[await server.jobs.submit(server.order(delay=0.1)) for _ in range(2)]]
            ended = [await server.jobs.wait(job.id, "ann", 10.0) for job in jobs]
            assert [(job.state, job.attempt) for job in ended] == [("succeeded", 1)] * 3

    asyncio.run(check())


def test_a_job_outlives_its_process(database: str, tmp_path: Path) -> None:
    if database == "memory":
        pytest.skip("memory does not")

    async def check() -> None:
        async with desk(database, tmp_path) as server:
            done = await server.jobs.submit(server.order())
            done = await server.jobs.wait(done.id, "ann")
            half = await server.jobs.submit(server.order(LONG, delay=0.02))
            await asyncio.sleep(0.3)
            assert (await server.jobs.get(half.id, "ann")).state == "running"
        async with desk(database, tmp_path) as server:
            again = await server.jobs.get(done.id, "ann")
            assert again == done
            assert Result.of(await server.jobs.events(done.id, "ann")).text == "one two three"
            assert (await server.jobs.get(half.id, "ann")).attempt <= 1
            job = await server.jobs.wait(half.id, "ann")
            assert (job.state, job.attempt) == ("succeeded", 1)
            assert Result.of(await server.jobs.events(half.id, "ann")).text == LONG

    asyncio.run(check())


def test_jobs_wait_for_a_slot_in_order_and_are_told_their_place(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT) as server:
            first = await server.jobs.submit(server.order(delay=0.3))
            jobs = [await server.jobs.submit(server.order(str(number))) for number in range(3)]
            urgent = await server.jobs.submit(server.order("urgent", priority=5))
            await asyncio.sleep(0.1)
            assert (await server.jobs.get(first.id, "ann")).state == "running"
            shown = [await server.jobs.get(job.id, "ann") for job in (urgent, *jobs)]
            assert [(job.state, job.position) for job in shown] == [("queued", place) for place in (1, 2, 3, 4)]
            ended = [await server.jobs.wait(job.id, "ann") for job in (first, urgent, *jobs)]
            begun = [job.started or 0.0 for job in ended]
            assert begun == sorted(begun)
            assert all(job.state == "succeeded" for job in ended)

    asyncio.run(check())


def test_a_canceled_job_keeps_what_it_made_and_frees_its_engine(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT) as server:
            job = await server.jobs.submit(server.order(LONG, delay=0.02))
            waiting = await server.jobs.submit(server.order())
            await asyncio.sleep(0.2)
            began = time.monotonic()
            canceled = await server.jobs.cancel(job.id, "ann")
            assert canceled.state == "canceled"
            assert server.edge.router.find("echo").admission.running <= 1
            assert time.monotonic() - began < 0.5
            text = Result.of(await server.jobs.events(job.id, "ann")).text
            assert 0 < len(text) < len(LONG)
            assert (await server.jobs.cancel(job.id, "ann")) == canceled
            assert (await server.jobs.wait(waiting.id, "ann")).state == "succeeded"
            assert (await server.jobs.cancel(waiting.id, "ann")).state == "succeeded"

    asyncio.run(check())


def test_a_job_that_waits_is_canceled_without_being_begun(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT) as server:
            await server.jobs.submit(server.order(LONG, delay=0.02))
            waiting = await server.jobs.submit(server.order())
            job = await server.jobs.cancel(waiting.id, "ann")
            assert (job.state, job.started, job.events) == ("canceled", None, 0)

    asyncio.run(check())


def test_jobs_on_which_nobody_worked_are_counted_once(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT, queue_time=0.1) as server:
            await server.jobs.submit(server.order(LONG, delay=0.02))
            [unwanted, late] = [await server.jobs.submit(server.order()) for _ in range(2)]
            for _ in range(2):
                await server.jobs.cancel(unwanted.id, "ann")
            await asyncio.sleep(0.1)
            for _ in range(2):
                await server.jobs.worker._expire(server.edge.config.jobs)
            assert (await server.jobs.get(late.id, "ann")).state == "failed"
            counted = [server.edge.metrics.jobs.labels("test", state).value for state in ("canceled", "failed")]
            assert counted == [1, 1]

    asyncio.run(check())


def test_what_fails_says_why_and_can_be_tried_again(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            order = server.order()
            assert isinstance(order.request, ChatRequest)
            broken = structs.replace(order, request=structs.replace(order.request, extra={"script": {"fail": "late"}}))
            job = await server.jobs.submit(broken)
            job = await server.jobs.wait(job.id, "ann")
            assert job.state == "failed"
            assert job.failure is not None
            assert job.failure.code == "engine_failed"
            again = await server.jobs.retry(job.id, "ann")
            assert (await server.jobs.wait(again.id, "ann")).state == "failed"
            good = await server.jobs.submit(order)
            await server.jobs.wait(good.id, "ann")
            with pytest.raises(WrongState):
                await server.jobs.retry(good.id, "ann")

    asyncio.run(check())


def test_jobs_of_others_are_not_there(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            job = await server.jobs.submit(server.order())
            await server.jobs.wait(job.id, None)
            for name in (job.id, "nobody", "x" * 1000, ""):
                for ask in (
                    server.jobs.get,
                    server.jobs.cancel,
                    server.jobs.wait,
                    server.jobs.events,
                    server.jobs.retry,
                ):
                    with pytest.raises(JobNotFound):
                        await ask(name, "bob")
                with pytest.raises(JobNotFound):
                    [_ async for _ in server.jobs.follow(name, "bob")]
            assert (await server.jobs.get(job.id, None)).owner == "ann"
            assert await server.jobs.page(Filter(owner="bob"), 10) == []
            [(_, there)] = await server.jobs.page(Filter(owner="ann"), 10)
            assert there.id == job.id

    asyncio.run(check())


def test_the_same_key_is_the_same_job(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            first = await server.jobs.submit(server.order(key="k", digest=b"1"))
            again = await server.jobs.submit(server.order(key="k", digest=b"1"))
            assert again.id == first.id
            with pytest.raises(KeyReused):
                await server.jobs.submit(server.order(key="k", digest=b"2"))
            other = await server.jobs.submit(server.order(key="k", digest=b"2", owner="bob"))
            assert other.id != first.id
            assert (await server.jobs.wait(first.id, "ann")).state == "succeeded"

    asyncio.run(check())


def test_an_owner_may_have_so_many_that_wait(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT, queued=2) as server:
            await server.jobs.submit(server.order(LONG, delay=0.02))
            for _ in range(2):
                await server.jobs.submit(server.order())
            with pytest.raises(TooManyJobs):
                await server.jobs.submit(server.order())
            await server.jobs.submit(server.order(owner="bob"))

    asyncio.run(check())


def test_there_are_no_jobs_for_models_that_are_not_there(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            with pytest.raises(ModelNotFound):
                await server.jobs.submit(Order(request=SpeechRequest(model="nobody", text="x"), owner="a", origin="t"))

    asyncio.run(check())


def test_sounds_and_pictures_are_files_in_the_format_that_was_asked_for(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            spoken = SpeechRequest(model="echo", text="one two three")
            drawn = ImageRequest(model="echo", prompt="red", n=2, width=32, height=16, partial=1)
            orders = [
                Order(request=spoken, owner="ann", origin="test", format="flac", speed=1.0),
                Order(request=spoken, owner="ann", origin="test", speed=2.0),
                Order(request=drawn, owner="ann", origin="test", format="webp"),
            ]
            jobs = [await server.jobs.submit(order) for order in orders]
            ended = [await server.jobs.wait(job.id, "ann") for job in jobs]
            assert [job.state for job in ended] == ["succeeded"] * 3
            flac, wav, pictures = [Result.of(await server.jobs.events(job.id, "ann")).files for job in jobs]
            assert [file.media_type for file in (*flac, *wav)] == ["audio/flac", "audio/wav"]
            assert (await server.jobs.read(flac[0].name) or b"").startswith(b"fLaC")
            assert wav[0].seconds == pytest.approx(flac[0].seconds / 2, rel=0.1)
            assert [(file.media_type, file.index) for file in pictures] == [("image/webp", 0), ("image/webp", 1)]
            for file in pictures:
                data = await server.jobs.read(file.name) or b""
                assert len(data) == file.size
                assert data[8:12] == b"WEBP"
            assert await server.jobs.read("../../etc/passwd") is None
            assert await server.jobs.read("a" * 43 + ".png") is None

    asyncio.run(check())


def test_who_follows_hears_the_end_of_what_was_taken_up_meanwhile(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, models=ONE_SLOT) as server:
            await server.jobs.submit(server.order(delay=0.1))
            job = await server.jobs.submit(server.order(delay=0.15))
            read = server.jobs.store.events

            async def read_before_the_end(id: str, *where: Any) -> list[tuple[int, bytes]]:
                found = await read(id, *where)
                if id in server.jobs.worker.works:
                    await server.jobs.worker.works[id].until_over()
                return found

            monkeypatch.setattr(server.jobs.store, "events", read_before_the_end)
            events = [event async for _, event in server.jobs.follow(job.id, "ann")]
            assert Result.of(events).text == "one two three"

    asyncio.run(check())


def test_progress_never_falls(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path) as server:
            job = await server.jobs.submit(server.order(LONG, delay=0.01))
            seen = []
            while not job.ended:
                seen.append(job.progress)
                await asyncio.sleep(0.02)
                job = await server.jobs.get(job.id, "ann")
            assert seen == sorted(seen)
            assert len(set(seen)) > 5
            assert max(seen) < 1.0 == job.progress

    asyncio.run(check())
