"""What every store of jobs does, whatever it keeps them in."""

from __future__ import annotations

import asyncio

import pytest

from openai_proxy.errors import TooManyJobs
from openai_proxy.jobs.encoding import PIECE
from openai_proxy.jobs.job import Failure, File
from openai_proxy.jobs.store import Bounds, Expired, Filter, Kept, Unworked
from tests.jobs.stores import LEASE, MANY, added, claimed, found, record, step, store, words

FOREVER = Bounds(age=1e12, count=MANY, size=10**12)


def test_a_job_is_kept_with_all_that_was_said_of_it(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            given = record(
                sent=b'{"a": 1}', format="mp3", speed=1.5, priority=3, address="10.0.0.1", digest=b"d", size=9
            )
            place = (await kept.add(given, MANY, LEASE)).place
            there = await found(kept, given)
            assert there.place == place > 0
            assert (there.sent, there.format, there.speed, there.priority) == (b'{"a": 1}', "mp3", 1.5, 3)
            assert (there.owner, there.origin, there.address, there.state) == ("ann", "test", "10.0.0.1", "queued")
            assert (there.digest, there.size, there.created, there.lease) == (b"d", 9, 1.0, None)
            assert await kept.find(["nobody"]) == {}

    asyncio.run(check())


def test_the_urgent_and_then_the_old_come_first(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            jobs = [await added(kept, priority=priority) for priority in (0, 5, 0, 5, -1)]
            other = await added(kept, model="other")
            order = [jobs[index].id for index in (1, 3, 0, 2, 4)]
            assert await kept.queue("echo") == order
            first = await claimed(kept, most=2)
            assert [job.id for job in first] == order[:2]
            assert [job.request for job in first] == [b"asked"] * 2
            assert [job.attempt for job in first] == [1, 1]
            assert await kept.queue("echo") == order[2:]
            assert [job.id for job in await claimed(kept, "you")] == order[2:]
            assert await claimed(kept) == []
            assert await kept.queue("other") == [other.id]

    asyncio.run(check())


def test_only_the_holder_of_the_lease_and_the_attempt_is_believed(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept, seconds=-1.0)
            assert await kept.write("you", [step(job, "no")]) == set()
            assert await kept.write("me", [step(job, "one", "two", started=2.0, progress=0.5)]) == {job.id}
            await kept.expire("you", LEASE, 3, None)
            [again] = await claimed(kept, "me")
            assert again.attempt == 2
            assert await kept.write("me", [step(job, "late", begin=2, state="succeeded", finished=3.0)]) == set()
            assert await words(kept, again) == []
            done = step(again, "new", state="succeeded", finished=4.0, progress=1.0)
            assert await kept.write("me", [done]) == {job.id}
            assert await kept.write("me", [step(again, "more", begin=1)]) == set()
            there = await found(kept, job)
            assert (there.state, there.finished, there.progress, there.events) == ("succeeded", 4.0, 1.0, 1)
            assert await words(kept, again) == ["new"]
            assert there.lease is None
            assert there.size >= done.size > 0

    asyncio.run(check())


def test_events_come_in_pieces_from_any_number_on(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            await kept.write("me", [step(job, "a", "b")])
            await kept.write("me", [step(job, "c", begin=2), step(job, "d", "e", begin=3)])
            assert await words(kept, job) == ["a", "b", "c", "d", "e"]
            for begin, limit, firsts in (
                (4, None, [3]),
                (1, 2, [0, 2]),
                (2, 1, [2]),
                (5, 2, [3]),
                (0, None, [0, 2, 3]),
            ):
                assert [first for first, _ in await kept.events(job.id, 1, begin, limit)] == firsts
            await kept.write("me", [step(job, *["f"] * (2 * PIECE), begin=5)])
            assert [first for first, _ in await kept.events(job.id, 1, 5)] == [5, 5 + PIECE]
            assert (await kept.events(job.id, 2, 0)) == []

    asyncio.run(check())


def test_a_lease_that_ended_is_given_to_others_until_it_was_tried_often_enough(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            for attempt in (1, 2):
                [job] = await claimed(kept, seconds=-1.0)
                assert job.attempt == attempt
                await kept.write("me", [step(job, "lost", started=1.0)])
                assert (await kept.expire("me", LEASE, 2, None)).lost == 0
                assert (await found(kept, job)).lease == "me", "one's own leases do not end"
                ended = [Unworked("test", "failed")] if attempt == 2 else []
                assert await kept.expire("you", LEASE, 2, None) == Expired(1, ended)
            there = await found(kept, job)
            assert (there.state, there.lease, there.finished is None) == ("failed", None, False)
            assert there.failure == Failure("worker_lost", "The processes that worked on this job died.")

    asyncio.run(check())


def test_leases_are_kept_by_beats(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept, seconds=-1.0)
            await kept.beat("you", LEASE)
            await kept.beat("me", LEASE)
            await kept.expire("you", LEASE, 1, None)
            assert await kept.held("me") == {job.id: (1, False)}
            assert await kept.held("you") == {}

    asyncio.run(check())


def test_what_is_given_back_was_no_attempt(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            await kept.write("me", [step(job, "half", started=2.0, progress=0.5)])
            await kept.release("you", {job.id: 1})
            assert (await found(kept, job)).lease == "me"
            await kept.release("me", {job.id: 1})
            there = await found(kept, job)
            assert (there.state, there.attempt, there.started, there.progress, there.events) == (
                "queued",
                0,
                None,
                0.0,
                0,
            )
            [again] = await claimed(kept, "you")
            assert (again.attempt, await words(kept, again)) == (1, [])

    asyncio.run(check())


def test_what_waits_ends_at_once_and_what_runs_is_told_to_stop(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            runs, waits = await added(kept), await added(kept)
            [job] = await claimed(kept, most=1)
            assert job.id == runs.id
            assert await kept.cancel(waits.id) == [Unworked("test", "canceled")]
            for _ in range(2):
                assert [*await kept.cancel(runs.id), *await kept.cancel(waits.id)] == []
            ended = await found(kept, waits)
            assert (ended.state, ended.finished is None) == ("canceled", False)
            assert await kept.held("me") == {runs.id: (1, True)}
            await kept.write("me", [step(job, "half", state="canceled", finished=2.0)])
            there = await found(kept, runs)
            assert (there.state, there.finished) == ("canceled", 2.0)
            await kept.cancel(runs.id)
            assert (await found(kept, runs)).finished == 2.0

    asyncio.run(check())


def test_who_was_told_to_stop_and_died_is_canceled(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept, seconds=-1.0)
            await kept.cancel(job.id)
            assert await kept.expire("you", LEASE, 1, None) == Expired(1, [Unworked("test", "canceled")])
            assert (await found(kept, job)).state == "canceled"
            other = await added(kept)
            await claimed(kept)
            await kept.cancel(other.id)
            assert await kept.release("me", {other.id: 1}) == [Unworked("test", "canceled")]
            assert (await found(kept, other)).state == "canceled"

    asyncio.run(check())


def test_only_what_did_not_succeed_is_tried_again(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            assert not await kept.retry(job.id)
            why = Failure("engine_failed", "It broke.", "input")
            await kept.write("me", [step(job, "half", state="failed", finished=2.0, failure=why)])
            assert (await found(kept, job)).failure == why
            assert await kept.retry(job.id)
            there = await found(kept, job)
            assert (there.state, there.failure, there.finished, there.attempt) == ("queued", None, None, 0)
            [again] = await claimed(kept)
            assert await words(kept, again) == []
            await kept.write("me", [step(again, "all", state="succeeded", finished=3.0)])
            assert not await kept.retry(job.id)
            assert not await kept.retry("nobody")

    asyncio.run(check())


def test_one_key_stands_for_one_job_of_an_owner(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            first = await added(kept, key="k", digest=b"1")
            again = await added(kept, key="k", digest=b"2")
            assert (again.id, again.digest) == (first.id, b"1")
            assert (await added(kept, key="k", owner="bob")).id != first.id
            assert len({(await added(kept)).id for _ in range(2)}) == 2
            leased = record(key="k", lease="me", attempt=1)
            assert (await kept.add(leased, MANY, LEASE)).id == first.id

    asyncio.run(check())


def test_an_owner_has_so_many_that_wait(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await kept.add(record(), 1, LEASE)
            with pytest.raises(TooManyJobs):
                await kept.add(record(), 1, LEASE)
            await kept.add(record(owner="bob"), 1, LEASE)
            await kept.add(record(lease="me", attempt=1, model="other"), 1, LEASE)
            await claimed(kept)
            await kept.add(record(), 1, LEASE)

    asyncio.run(check())


def test_nobody_is_begun_before_those_who_wait(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            waits = await added(kept)
            late = await kept.add(record(lease="me", attempt=1), MANY, LEASE)
            assert (late.lease, late.attempt) == (None, 0)
            assert await kept.queue("echo") == [waits.id, late.id]
            await claimed(kept)
            at_once = await kept.add(record(lease="me", attempt=1), MANY, LEASE)
            assert (await found(kept, at_once)).lease == "me"

    asyncio.run(check())


def test_what_is_written_again_replaces_what_was_written(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            picture = File("picture", "image/png", 5)
            for said in (("a", "b"), ("a", "b", "c")):
                assert await kept.write("me", [step(job, *said, files=(picture,))]) == {job.id}
            await kept.write("me", [step(job, "d", begin=3)])
            assert await words(kept, job) == ["a", "b", "c", "d"]
            assert (await found(kept, job)).events == 4

    asyncio.run(check())


def test_what_shall_stop_does_not_succeed(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            await kept.cancel(job.id)
            assert await kept.write("me", [step(job, "all", state="succeeded", finished=2.0)]) == set()
            assert await kept.write("me", [step(job, "all", state="canceled", finished=2.0)]) == {job.id}

    asyncio.run(check())


def test_what_is_done_again_meanwhile_is_not_forgotten(database: str) -> None:
    if database == "memory":
        pytest.skip("there is no meanwhile")

    async def check() -> None:
        async with store(database) as kept:
            job = await added(kept)
            await kept.cancel(job.id)
            retried = asyncio.create_task(kept.retry(job.id))
            swept = asyncio.create_task(kept.sweep(Bounds(1e-9, 0, 0)))
            if await retried:
                assert (await found(kept, job)).state == "queued"
            await swept

    asyncio.run(check())


def test_a_lease_that_ends_in_a_far_future_has_ended(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept, seconds=86_400.0)
            assert (await kept.expire("you", LEASE, 3, None)).lost
            assert not (await kept.expire("you", LEASE, 3, None)).lost
            there = await found(kept, job)
            assert (there.state, there.lease, there.attempt) == ("queued", None, 1)

    asyncio.run(check())


def test_many_at_once_are_each_given_to_one(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            jobs = await asyncio.gather(*(added(kept, owner=f"owner{number}") for number in range(50)))
            got = await asyncio.gather(*(claimed(kept, f"holder{number}", 10) for number in range(8)))
            ids = [job.id for holder in got for job in holder]
            assert sorted(ids) == sorted(job.id for job in jobs)
            assert await kept.counts() == [Kept("echo", "queued", 50, 0)]

    asyncio.run(check())


def test_pages_are_of_those_that_are_asked_for(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            mine = [await added(kept, origin="one", address="10.0.0.1") for _ in range(3)]
            other = await added(kept, owner="bob", origin="two")
            everything = await kept.page(Filter(), 10)
            assert [job.id for job in everything] == [other.id, *(job.id for job in reversed(mine))]
            first = await kept.page(Filter(owner="ann"), 2)
            assert [job.id for job in first] == [mine[2].id, mine[1].id]
            rest = await kept.page(Filter(owner="ann", before=first[-1].place), 2)
            assert [job.id for job in rest] == [mine[0].id]
            assert [job.id for job in await kept.page(Filter(after=mine[2].place), 9)] == [other.id]
            assert [job.id for job in await kept.page(Filter(origin="two"), 9)] == [other.id]
            assert len(await kept.page(Filter(address="10.0.0.1"), 9)) == 3
            assert len(await kept.page(Filter(model="echo"), 9)) == 4
            assert await kept.page(Filter(model="other"), 9) == []
            await kept.cancel(mine[0].id)
            assert [job.id for job in await kept.page(Filter(states=frozenset({"canceled"})), 9)] == [mine[0].id]

    asyncio.run(check())


def test_what_is_old_or_too_much_is_forgotten_with_its_files(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            jobs = [await added(kept, size=10) for _ in range(4)]
            for number, job in enumerate(await claimed(kept, most=3)):
                file = File(f"file{number}", "image/png", 100)
                ended = step(job, state="succeeded", finished=1000.0 + number, files=(file,), begin=0)
                await kept.write("me", [ended])
            assert await kept.sweep(FOREVER) == []
            assert await kept.sweep(Bounds(1e12, 2, 10**12)) == ["file0"]
            assert await kept.sweep(Bounds(1e12, MANY, 130)) == ["file1"]
            assert await kept.sweep(Bounds(1.0, MANY, 10**12)) == ["file2"]
            assert list(await kept.find([job.id for job in jobs])) == [jobs[3].id]

    asyncio.run(check())


def test_files_are_known_by_the_jobs_that_made_them(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            await added(kept)
            [job] = await claimed(kept)
            await kept.write("me", [step(job, files=(File("a.png", "image/png", 1), File("b.png", "image/png", 1)))])
            assert await kept.makers(["a.png", "other.png"]) == {"a.png": job.id}

    asyncio.run(check())


def test_what_waits_for_too_long_fails(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            old = await added(kept)
            await kept.expire("me", LEASE, 3, None)
            assert (await found(kept, old)).state == "queued"
            await kept.expire("me", LEASE, 3, 1e12)
            assert (await found(kept, old)).state == "queued"
            assert await kept.expire("me", LEASE, 3, 60.0) == Expired(0, [Unworked("test", "failed")])
            there = await found(kept, old)
            assert (there.state, there.failure and there.failure.code) == ("failed", "expired")

    asyncio.run(check())


def test_a_key_is_free_again_after_a_day(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            first = await added(kept, key="k")
            await kept.sweep(FOREVER)
            assert (await added(kept, key="k")).id != first.id

    asyncio.run(check())
