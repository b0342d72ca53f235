"""Steps are told as they are done: to whom they are for, and to who waits."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from backends.events import Picture, Progress
from backends.requests import ImageRequest
from tests.backends.conftest import Living

pytestmark = pytest.mark.diffusers


def test_each_step_is_told(diffusers_draws: Living) -> None:
    asked = ImageRequest(model="m", prompt="a", steps=7, width=64, height=64, n=2, partial=1)
    events = diffusers_draws.events(asked)
    steps = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(steps) >= 4
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    first = next(place for place, event in enumerate(events) if isinstance(event, Picture))
    assert any(isinstance(event, Progress) for event in events[:first])
    assert any(isinstance(event, Progress) for event in events[first:])


def test_who_waits_is_told_too(diffusers_draws: Living) -> None:
    """Another picture is drawn meanwhile."""

    async def waits() -> list[Any]:
        first = asyncio.create_task(gathered(ImageRequest(model="m", prompt="a", steps=20, width=96, height=64)))
        await asyncio.sleep(0.5)
        found = await gathered(ImageRequest(model="m", prompt="a", steps=2, width=64, height=64))
        await first
        return found

    async def gathered(request: ImageRequest) -> list[Any]:
        async with aclosing(diffusers_draws.backend.run(request)) as events:
            return [event async for event in events]

    told = [event for event in diffusers_draws.runner.run(waits()) if isinstance(event, Progress)]
    assert told[0] == Progress(0.0, "waiting")
    assert told[-1] == Progress(1.0, "drawing")
