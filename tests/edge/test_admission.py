"""Slots and the queue in front of an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.admission import Admission
from openai_proxy.errors import Draining, QueueFull, QueueTimeout


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def had(task: asyncio.Task[float]) -> bool:
    return not task.cancelled() and task.exception() is None


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_slots_then_the_queue_then_nothing() -> None:
    async def work() -> None:
        admission = Admission(2, 2, 100)
        first = await admission.acquire(1, 1)
        await admission.acquire(1, 1)
        waiting = [asyncio.create_task(admission.acquire(1, 1)) for _ in range(2)]
        await turns()
        assert (admission.running, admission.waiting) == (2, 2)
        with pytest.raises(QueueFull) as caught:
            await admission.acquire(1, 1)
        assert caught.value.retry_after == admission.retry_after() > 0
        assert caught.value.queue_position == 3
        admission.release(first)
        await turns()
        assert [task.done() for task in waiting] == [True, False]
        assert (admission.running, admission.waiting) == (2, 1)
        for _ in range(3):
            admission.release(first)
            await turns()
        assert waiting[1].done()
        assert (admission.running, admission.waiting, admission.waiting_tokens) == (0, 0, 0)

    run(work())


def test_without_a_queue_nobody_waits() -> None:
    async def work() -> None:
        admission = Admission(1, 0, 100)
        await admission.acquire(1, 1)
        with pytest.raises(QueueFull):
            await admission.acquire(1, 1)

    run(work())


def test_the_queue_is_bounded_in_tokens_but_takes_one_of_any_size() -> None:
    async def work() -> None:
        admission = Admission(1, 10, 100)
        await admission.acquire(1, 1)
        large = asyncio.create_task(admission.acquire(1000, 1))
        await turns()
        with pytest.raises(QueueFull):
            await admission.acquire(1, 1)
        large.cancel()
        await asyncio.wait([large])
        assert admission.waiting_tokens == 0
        waiting = [asyncio.create_task(admission.acquire(50, 1)) for _ in range(2)]
        await turns()
        with pytest.raises(QueueFull):
            await admission.acquire(1, 1)
        for task in waiting:
            task.cancel()

    run(work())


def test_who_waits_too_long_is_told() -> None:
    async def work() -> None:
        admission = Admission(1, 1, 100)
        slot = await admission.acquire(1, 1)
        with pytest.raises(QueueTimeout) as caught:
            await admission.acquire(1, 0.01)
        assert caught.value.retry_after is not None
        admission.release(slot)
        assert (admission.running, admission.waiting) == (0, 0)

    run(work())


def test_who_leaves_as_the_slot_comes_hands_it_on() -> None:
    async def work() -> None:
        admission = Admission(1, 2, 100)
        slot = await admission.acquire(1, 1)
        first, second = (asyncio.create_task(admission.acquire(1, 1)) for _ in range(2))
        await turns()
        admission.release(slot)
        first.cancel()
        assert await second
        assert first.cancelled()
        assert (admission.running, admission.waiting) == (1, 0)

    run(work())


def test_closing_turns_everybody_away_each_with_an_error_of_their_own() -> None:
    async def work() -> None:
        admission = Admission(1, 5, 100)
        slot = await admission.acquire(1, 1)
        waiting = [asyncio.create_task(admission.acquire(1, 1)) for _ in range(3)]
        await turns()
        admission.close(Draining)
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in errors] == [Draining] * 3
        assert len(set(map(id, errors))) == 3
        with pytest.raises(Draining):
            await admission.acquire(1, 1)
        admission.release(slot)
        await admission.empty(1)
        assert (admission.running, admission.waiting) == (0, 0)

    run(work())


def test_emptying_has_an_end() -> None:
    async def work() -> None:
        admission = Admission(1, 0, 0)
        await admission.acquire(1, 1)
        await admission.empty(0.01)
        assert admission.running == 1

    run(work())


def test_the_drain_rate_is_measured() -> None:
    async def work() -> None:
        admission = Admission(2, 0, 0)
        before = admission.retry_after()
        for _ in range(50):
            admission.release(await admission.acquire(1, 1))
        assert admission.retry_after() < before

    run(work())


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(0, 4), st.lists(st.sampled_from(["come", "end", "leave", "turn"]), max_size=40))
def test_nothing_is_lost_whatever_happens(slots: int, queue: int, steps: list[str]) -> None:
    async def work() -> None:
        admission = Admission(slots, queue, 1000)
        inside: list[asyncio.Task[float]] = []
        for step in steps:
            match step:
                case "come":
                    inside.append(asyncio.create_task(admission.acquire(1, 10)))
                case "leave" if inside:
                    inside.pop().cancel()
                case "turn":
                    await turns()
                case "end":
                    for task in [task for task in inside if task.done() and had(task)][:1]:
                        inside.remove(task)
                        admission.release(task.result())
            assert 0 <= admission.running <= slots
            assert admission.waiting <= queue
        # A cancel that comes after the slot was had is the caller's to settle, as the router does.
        for task in inside:
            task.cancel()
        await turns()
        for task in filter(had, inside):
            admission.release(task.result())
        assert (admission.waiting, admission.waiting_tokens) == (0, 0)

    run(work())
