from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from backends.choices.merge import merge
from backends.errors import EngineFailed
from backends.events import Delta, Event


def test_events_come_as_they_are_made_and_closing_closes_all() -> None:
    closed: list[int] = []

    async def stream(index: int) -> AsyncGenerator[Event, None]:
        try:
            while True:
                await asyncio.sleep(0.001 * (index + 1))
                yield Delta("x", index)
        finally:
            closed.append(index)

    async def story() -> None:
        merged = merge([stream(0), stream(1), stream(2)])
        seen = [await anext(merged) for _ in range(20)]
        await merged.aclose()
        assert {event.index for event in seen if isinstance(event, Delta)} == {0, 1, 2}
        assert sorted(closed) == [0, 1, 2]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_the_first_failure_is_raised_and_ends_the_others() -> None:
    async def fails() -> AsyncGenerator[Event, None]:
        yield Delta("x")
        raise EngineFailed

    async def waits() -> AsyncGenerator[Event, None]:
        await asyncio.sleep(60)
        yield Delta("never")

    async def story() -> None:
        with pytest.raises(EngineFailed):
            [event async for event in merge([waits(), fails()])]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())
