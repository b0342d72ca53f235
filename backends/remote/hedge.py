"""Asking a second upstream when the first one takes long to begin: whichever begins first answers.

Dean and Barroso, "The tail at scale", 2013 (https://doi.org/10.1145/2408776.2408794): hedged requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from backends.events import Event

Make = Callable[[], AsyncGenerator[Event, None]]


async def hedged(first: Make, second: Make, after: float) -> AsyncGenerator[Event, None]:
    """The events of `first`, or those of `second` where that one begins sooner, asked `after` seconds later.

    The other one is closed. Where one fails before it begins the other one answers; where both do, the first's error is
    raised.
    """
    runs = [first()]
    begun = [asyncio.create_task(anext(runs[0]))]
    try:
        await asyncio.wait(begun, timeout=after)
        if not begun[0].done():
            runs.append(second())
            begun.append(asyncio.create_task(anext(runs[1])))
        winner = await _winner(begun)
        for index, task in enumerate(begun):
            if index != winner:
                await _drop(task, runs[index])
        try:
            yield begun[winner].result()
        except StopAsyncIteration:
            return
        async for event in runs[winner]:
            yield event
    finally:
        for task, run in zip(begun, runs, strict=True):
            await _drop(task, run)


async def _winner(begun: list[asyncio.Task[Event]]) -> int:
    """The first that begins or ends well; if none does the first of all."""
    pending = set(begun)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for index, task in enumerate(begun):
            if task in done and (task.exception() is None or isinstance(task.exception(), StopAsyncIteration)):
                return index
    return 0


async def _drop(task: asyncio.Task[Event], run: AsyncGenerator[Event, None]) -> None:
    """Close a stream, also one that has not begun. Its error, if it has one, is of no interest any more."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen: nobody shall be told that it was not
    await run.aclose()
