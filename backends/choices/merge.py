"""Several streams as one, each event as soon as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from backends.events import Event

BUFFER = 64


async def merge(streams: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
    """All events of all streams. Raises what the first stream that fails raises; the others are then closed."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for event in only:
                yield event
        return
    queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue(BUFFER)
    tasks = [asyncio.create_task(_pump(stream, queue)) for stream in streams]
    running = len(tasks)
    try:
        while running:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(stream: AsyncGenerator[Event, None], queue: asyncio.Queue[Event | BaseException | None]) -> None:
    try:
        async with aclosing(stream):
            async for event in stream:
                await queue.put(event)
    except Exception as error:  # noqa: BLE001 - carried to whoever reads the merged stream, and raised there
        await queue.put(error)
    else:
        await queue.put(None)
