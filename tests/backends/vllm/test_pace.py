"""Who waits for a beat, and who does not."""

from __future__ import annotations

import asyncio
import time

from backends.vllm.pace import CALM, MEMORY, Pace

BEAT = 0.01


async def after_a_beat(pace: Pace, tokens: int, streams: int) -> bool:
    """Whether it is busy when so many tokens come to so many streams in each beat."""
    running = [pace.stream() for _ in range(streams)]
    for stream in running:
        stream.__enter__()
    for _ in range(2 * MEMORY):
        await pace.turn()
        pace.took(tokens)
    await pace.turn()
    busy = pace.busy
    for stream in running:
        stream.__exit__(None, None, None)
    return busy


def test_few_tokens_and_slow_streams_do_not_wait() -> None:
    assert not asyncio.run(after_a_beat(Pace(BEAT), CALM, 4))
    assert not asyncio.run(after_a_beat(Pace(BEAT), 4 * CALM, 4 * CALM))


def test_many_tokens_a_stream_are_worth_a_wait() -> None:
    assert asyncio.run(after_a_beat(Pace(BEAT), 4 * CALM, 4))


def test_a_beat_of_0_is_none() -> None:
    async def look() -> tuple[bool, int]:
        pace = Pace(0.0)
        with pace.stream():
            pace.took(10_000)
            await asyncio.sleep(0.05)
            return pace.busy, len(asyncio.all_tasks())

    assert asyncio.run(look()) == (False, 1)


def test_it_is_calm_again_when_nothing_runs() -> None:
    async def look() -> tuple[bool, bool]:
        pace = Pace(BEAT)
        busy = await after_a_beat(pace, 1000, 1)
        await asyncio.sleep(5 * BEAT)
        return busy, pace.busy

    assert asyncio.run(look()) == (True, False)


def test_a_wait_that_is_left_leaves_the_others_waiting() -> None:
    async def look() -> float:
        pace = Pace(BEAT)
        with pace.stream():
            waiting = [asyncio.create_task(pace.turn()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            begun = time.monotonic()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1:] == [None, None]
            return time.monotonic() - begun

    assert asyncio.run(look()) < 1
