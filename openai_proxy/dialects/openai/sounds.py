"""Sound that an engine makes -> files of the formats that clients ask for, while it is made.

Encoding takes milliseconds for a second of sound, so that it is done off the event loop.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from msgspec import Struct

import audio
from backends.events import Event, Sound
from openai_proxy.sounds import Encoding, able, silent

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


async def files(events: AsyncGenerator[Event, None], format: str) -> AsyncGenerator[bytes, None]:
    """A whole file for each Sound; the first WAV has a header of open length, as h2oGPT's has."""
    begun = False
    async with aclosing(events) as said:
        async for event in said:
            if type(event) is not Sound or not event.data:
                continue
            if format == "wav":
                pcm = await able(audio.resampled, event.data, event.rate, PIECE_RATE)
                yield audio.encoded(pcm, PIECE_RATE, format) if begun else audio.encoder(format, PIECE_RATE).feed(pcm)
            else:
                yield await able(audio.encoded, event.data, event.rate, format)
            begun = True
            await asyncio.sleep(0)  # each has a write, and a network chunk, of its own
    if not begun:
        raise silent()
