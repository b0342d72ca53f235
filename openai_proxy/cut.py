"""Answers that end where they are when the time that their client gave them is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from backends.events import Delta, Event, Finish, Usage
from backends.requests import ChatRequest, CompletionRequest


async def within(
    events: AsyncGenerator[Event], request: ChatRequest | CompletionRequest, seconds: float, read: int
) -> AsyncGenerator[Event, None]:
    """What comes of the answer in so many seconds. Choices that are not complete then end as at a limit of length, and
    the usage is what came, after about `read` tokens of a prompt.
    """
    prompts = len(request.prompts) if isinstance(request, CompletionRequest) else 1
    unfinished = set(range(prompts * request.sampling.n))
    due = asyncio.get_running_loop().time() + seconds
    pieces = 0
    async with aclosing(events):
        while True:
            try:
                async with asyncio.timeout_at(due) as timer:
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not timer.expired():
                    raise
                break
            pieces += type(event) is Delta
            if type(event) is Finish:
                unfinished.discard(event.index)
            yield event
    for index in sorted(unfinished):
        yield Finish("length", index)
    yield Usage(prompt=read, completion=pieces)
