"""The end of what watches an engine."""

from __future__ import annotations

import asyncio

import pytest

from backends.life import ended


def test_a_watch_ends_though_it_lost_a_cancel() -> None:
    lost = 0

    async def watch() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    async def check() -> None:
        task = asyncio.create_task(watch())
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await ended(task)
        assert task.cancelled()

    asyncio.run(check())
    assert lost == 2


def test_what_a_watch_raises_is_told() -> None:
    async def broken() -> None:
        raise OSError("gone")

    async def check() -> None:
        task = asyncio.create_task(broken())
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="gone"):
            await ended(task)

    asyncio.run(check())
