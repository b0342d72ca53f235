"""Sound that an engine makes -> files of the formats that clients ask for, while it is made.

Encoding takes milliseconds for a second of sound, so that it is done off the event loop.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ParamSpec, TypeVar

import msgspec
from msgspec import Struct

import audio
from backends.errors import Unsupported
from backends.events import Event, Relayed, Sound, Usage
from openai_proxy.errors import InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")
# A sentence that goes on for longer is cut: nobody waits for its end; and how long pieces are where nobody tells it.
LONGEST_PIECE, RELAYED_PIECE = 10.0, 1.0
# What players of h2oGPT's pieces take them for.
PIECE_RATE = 16_000


class SpeechUsage(Struct):
    """Tokens read and made, as far as the engine counts any."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDelta(Struct, tag="speech.audio.delta"):
    """The next bytes of the file, in base64."""

    audio: str


class SpeechDone(Struct, tag="speech.audio.done"):
    """The end of a stream."""

    usage: SpeechUsage


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
        return await _able(audio.encoder, self.format, rate)

    async def _aside(self, work: Callable[..., bytes], *data: bytes) -> bytes:
        """Off the event loop, unless there is nothing to do but to copy."""
        return work(*data) if self.format == "wav" else await asyncio.to_thread(work, *data)


async def as_events(events: AsyncGenerator[Event, None], format: str) -> AsyncGenerator[bytes, None]:
    """The file in server-sent events."""
    encoding = Encoding(format)
    async with aclosing(encoding.pieces(events)) as pieces:
        async for piece in pieces:
            if encoding.relayed:
                yield piece
            elif piece:
                yield _frame(SpeechDelta(base64.b64encode(piece).decode("ascii")))
    if not encoding.relayed:
        read, made = encoding.usage.prompt, encoding.usage.completion
        yield _frame(SpeechDone(SpeechUsage(read, made, read + made)))


def _frame(event: SpeechDelta | SpeechDone) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(event)


async def whole(events: AsyncGenerator[Event, None], format: str) -> bytes:
    """One file that tells its true length. Raises InvalidRequest where there is nothing to hear."""
    async with aclosing(events):
        sounds = [event async for event in events if type(event) is Sound and event.data]
    if not sounds:
        raise silent()
    pcm = b"".join([sound.data for sound in sounds])
    return await _able(audio.encoded, pcm, sounds[0].rate, format)


async def sentences(events: AsyncGenerator[Event, None], longest: float) -> AsyncGenerator[Event, None]:
    """The same with one Sound for each sentence, or for `longest` seconds of one."""
    held: list[bytes] = []
    rate = 0
    async with aclosing(events):
        async for event in events:
            if type(event) is not Sound:
                yield event
                continue
            held.append(event.data)
            rate = event.rate
            if event.ends or sum(map(len, held)) >= longest * rate * audio.WIDTH:
                yield Sound(b"".join(held), rate, event.ends)
                held.clear()
    if held:
        yield Sound(b"".join(held), rate, ends=True)


async def stretched(events: AsyncGenerator[Event, None], speed: float) -> AsyncGenerator[Event, None]:
    """The same, `speed` times as fast, at the same pitch; sentence by sentence, so that each ends where it should."""
    stretcher: audio.Stretcher | None = None
    rate = 0
    async with aclosing(events):
        async for event in events:
            if type(event) is Sound:
                rate = event.rate
                if stretcher is None:
                    stretcher = await _able(audio.Stretcher, rate, speed)
                data = await asyncio.to_thread(stretcher.feed, event.data)
                if event.ends:
                    data += await asyncio.to_thread(stretcher.finish)
                    stretcher = None
                yield Sound(data, rate, event.ends)
            else:
                yield event
    if stretcher is not None:
        yield Sound(await asyncio.to_thread(stretcher.finish), rate, ends=True)


async def files(events: AsyncGenerator[Event, None], format: str) -> AsyncGenerator[bytes, None]:
    """A whole file for each Sound; the first WAV has a header of open length, as h2oGPT's has."""
    begun = False
    async with aclosing(events) as said:
        async for event in said:
            if type(event) is not Sound or not event.data:
                continue
            if format == "wav":
                pcm = await _able(audio.resampled, event.data, event.rate, PIECE_RATE)
                yield audio.encoded(pcm, PIECE_RATE, format) if begun else audio.encoder(format, PIECE_RATE).feed(pcm)
            else:
                yield await _able(audio.encoded, event.data, event.rate, format)
            begun = True
            await asyncio.sleep(0)  # each has a write, and a network chunk, of its own
    if not begun:
        raise silent()


async def _able(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """`work` off the event loop. Raises Unsupported where it needs what is not installed."""
    try:
        return await asyncio.to_thread(work, *args, **named)
    except ImportError as error:
        message = "This server was installed without its extra 'audio': it makes wav, at the voice's own speed."
        raise Unsupported(message, param="response_format") from error
