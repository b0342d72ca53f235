"""Deadlines of one request."""

from __future__ import annotations

import asyncio

import pytest

from openai_proxy.ticker import Ticker
from openai_proxy.watch import Timer, Watch


def watching(first: float, between: float, whole: float) -> Watch:
    return Watch(Ticker(), first, between, whole)


async def expire(watch: Watch, seconds: float = 1) -> Timer | None:
    watch.wait()
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return watch.absorb()
    finally:
        watch.close()
    return None


def test_each_timer_has_its_name() -> None:
    async def work() -> None:
        assert await expire(watching(0.02, 5, 5)) == "first_token"
        assert await expire(watching(5, 5, 0.02)) == "request"
        watch = watching(5, 0.02, 5)
        watch.wait()
        watch.got()
        assert await expire(watch) == "between_tokens"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(work())


def test_in_time_is_in_time() -> None:
    async def work() -> None:
        watch = watching(0.1, 0.1, 5)
        for _ in range(10):
            watch.wait()
            await asyncio.sleep(0.03)
            watch.got()
        watch.close()

    asyncio.run(work())


def test_the_clock_stands_still_while_the_consumer_works() -> None:
    async def work() -> None:
        watch = watching(5, 0.03, 0.05)
        watch.wait()
        watch.got()
        await asyncio.sleep(0.15)
        assert await expire(watch) == "request"

    asyncio.run(work())


def test_a_cancellation_of_others_is_not_absorbed() -> None:
    async def work() -> None:
        watch = watching(0.02, 5, 5)
        absorbed: list[Timer | None] = []

        async def wait() -> None:
            inner = watching(5, 5, 5)
            inner.wait()
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                absorbed.append(inner.absorb())
                raise
            finally:
                inner.close()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert absorbed == [None]
        watch.close()

    asyncio.run(work())


def test_both_at_once_is_the_cancellation_of_others() -> None:
    async def wait() -> None:
        watch = watching(0.01, 5, 5)
        watch.wait()
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            assert watch.absorb() is None
            raise
        finally:
            watch.close()

    async def work() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(wait())

    asyncio.run(work())
