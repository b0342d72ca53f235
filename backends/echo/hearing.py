"""What the echo model sees and hears: how large pictures are, and how long sounds."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import structs

import audio
from audio import Clip
from backends import media
from backends.echo.script import Script
from backends.events import Delta, Event, Finish, Segment, Usage
from backends.requests import Audio, ChatRequest, Part, Text, TranscriptionRequest

SEGMENT_SECONDS = 5
LANGUAGE = "en"


async def described(request: ChatRequest) -> ChatRequest:
    """The chat with words in the place of pictures and sounds. Raises Refused."""
    if all(message.plain for message in request.messages):
        return request
    found = await media.decoded(request.messages, "size")
    conversation = list(request.messages)
    for place, parts in found.items():
        words = " ".join(map(_words, conversation[place].parts, parts))
        conversation[place] = structs.replace(conversation[place], parts=(Text(words),))
    return structs.replace(request, messages=tuple(conversation))


def _words(part: Part, decoded: media.Decoded) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(decoded, Clip):
        return f"audio {decoded.seconds:.1f}s"
    assert decoded is not None
    return f"image {decoded.width}x{decoded.height}"


async def length(sound: Audio) -> float:
    """How many seconds there are of it. Raises Refused."""
    return sum([len(piece) async for piece in media.sound(sound, "file")]) / audio.WIDTH / audio.RATE


def transcription(request: TranscriptionRequest, script: Script, seconds: float) -> Iterator[Event]:
    """One segment for every five seconds, which says when it was and what was asked for."""
    task = "translate " if request.task == "translate" else ""
    asked = f"{task}{request.language or LANGUAGE} {request.prompt}"
    read = len(request.prompt.split())
    said = 0
    for start in range(0, math.ceil(seconds), SEGMENT_SECONDS):
        end = min(start + SEGMENT_SECONDS, round(seconds, 2))
        text = script.text if script.text is not None else f" {asked.strip()} {start} to {end:g}."
        said += len(text.split())
        yield Delta(text)
        if request.timestamps:
            yield Segment(start, end, text, language=request.language or LANGUAGE)
    yield Finish("stop")
    yield Usage(prompt=read, completion=said, seconds=seconds)
