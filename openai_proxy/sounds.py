"""Sound that an engine makes -> files of the formats that clients ask for, while it is made.

Encoding takes milliseconds for a second of sound, so that it is done off the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ParamSpec, TypeVar

import audio
from backends.errors import Unsupported
from backends.events import Event, Relayed, Sound, Usage
from openai_proxy.errors import InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")


def silent() -> InvalidRequest:
    """What is told where nothing was to be heard."""
    return InvalidRequest("There is nothing in input that this model can say.", param="input")


class Encoding:
    """One answer as one file of a format. What another server encoded goes on as it is: then it is `relayed`.

    `usage` is there after the last piece.
    """

    def __init__(self, format: str) -> None:
        self.format = format
        self.relayed = False
        self.usage = Usage()

    async def pieces(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        """The file as it is made. Raises InvalidRequest before its first byte where there is nothing to hear."""
        encoder: audio.Encoder | None = None
        async with aclosing(events):
            async for event in events:
                if type(event) is Sound and event.data:
                    if encoder is None:
                        encoder = await self._begun(event.rate)
                    yield await self._aside(encoder.feed, event.data)
                elif type(event) is Relayed:
                    self.relayed = True
                    yield event.data
                elif type(event) is Usage:
                    self.usage = event
        if encoder is not None:
            yield await self._aside(encoder.finish)
        elif not self.relayed:
            raise silent()

    async def _begun(self, rate: int) -> audio.Encoder:
        return await able(audio.encoder, self.format, rate)

    async def _aside(self, work: Callable[..., bytes], *data: bytes) -> bytes:
        """Off the event loop, unless there is nothing to do but to copy."""
        return work(*data) if self.format == "wav" else await asyncio.to_thread(work, *data)


async def whole(events: AsyncGenerator[Event, None], format: str) -> bytes:
    """One file that tells its true length. Raises InvalidRequest where there is nothing to hear."""
    async with aclosing(events):
        sounds = [event async for event in events if type(event) is Sound and event.data]
    if not sounds:
        raise silent()
    pcm = b"".join([sound.data for sound in sounds])
    return await able(audio.encoded, pcm, sounds[0].rate, format)


async def stretched(events: AsyncGenerator[Event, None], speed: float) -> AsyncGenerator[Event, None]:
    """The same, `speed` times as fast, at the same pitch; sentence by sentence, so that each ends where it should."""
    stretcher: audio.Stretcher | None = None
    rate = 0
    async with aclosing(events):
        async for event in events:
            if type(event) is Sound:
                rate = event.rate
                if stretcher is None:
                    stretcher = await able(audio.Stretcher, rate, speed)
                data = await asyncio.to_thread(stretcher.feed, event.data)
                if event.ends:
                    data += await asyncio.to_thread(stretcher.finish)
                    stretcher = None
                yield Sound(data, rate, event.ends)
            else:
                yield event
    if stretcher is not None:
        yield Sound(await asyncio.to_thread(stretcher.finish), rate, ends=True)


async def able(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """`work` off the event loop. Raises Unsupported where it needs what is not installed."""
    try:
        return await asyncio.to_thread(work, *args, **named)
    except ImportError as error:
        message = "This server was installed without its extra 'audio': it makes wav, at the voice's own speed."
        raise Unsupported(message, param="response_format") from error
