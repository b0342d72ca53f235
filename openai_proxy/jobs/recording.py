"""What an engine answers -> what is kept of it: sounds and pictures become files, all else stays as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from msgspec.structs import replace

import audio
import vision
from backends.errors import EngineFailed
from backends.events import Answering, Delta, Event, Picture, Relayed, Sound
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import File, JobEvent
from openai_proxy.sounds import able, silent, stretched

# The first picture or sound is of this format unless another one was asked for.
PICTURES, SOUNDS = "png", "wav"
# Characters of a piece of text. Not every engine writes its answers bit by bit, but many may read one, and slowly.
LONGEST = 4096


async def recorded(
    events: AsyncGenerator[Event, None], files: Files, format: str, speed: float
) -> AsyncGenerator[JobEvent, None]:
    """The events to keep, as they come. A sound is kept when all of it is there.

    Raises what `events` raise, StoreFailed, and InvalidRequest where nothing is to be heard.
    """
    pcm: list[bytes] = []
    rate = 0
    if speed != 1.0:
        events = stretched(events, speed)
    async with aclosing(events):
        async for event in events:
            if type(event) is Sound:
                pcm.append(event.data)
                rate = event.rate
            elif type(event) is Picture:
                yield await _picture(event, files, format)
            elif type(event) is Delta:
                for piece in _pieces(event):
                    yield piece
            elif not isinstance(event, Relayed | Answering | Sound | Picture | Delta):  # nobody asks for the first
                if pcm:
                    yield await _sound(pcm, rate, files, format)
                yield event
    if pcm:
        yield await _sound(pcm, rate, files, format)


def _pieces(event: Delta) -> Iterator[Delta]:
    """The same, in pieces that are not too long."""
    if len(event.text) <= LONGEST and len(event.reasoning) <= LONGEST:
        yield event
        return
    yield replace(event, text=event.text[:LONGEST], reasoning=event.reasoning[:LONGEST])
    for at in range(LONGEST, max(len(event.text), len(event.reasoning)), LONGEST):
        yield Delta(event.text[at : at + LONGEST], event.index, event.reasoning[at : at + LONGEST])


async def _picture(event: Picture, files: Files, format: str) -> File:
    kind = format or PICTURES
    try:
        picture = await vision.soon(vision.written, event.data, kind)
    except vision.BadPicture as error:
        raise EngineFailed("The engine drew a picture that cannot be read.") from error
    media_type = vision.FORMATS[kind]
    name = await files.put(picture.data, media_type)
    return File(name, media_type, len(picture.data), event.index, event.partial)


async def _sound(pcm: list[bytes], rate: int, files: Files, format: str) -> File:
    """The whole sound as a file. Takes the pieces: what comes later is another one."""
    data = b"".join(pcm)
    pcm.clear()
    if not data:
        raise silent()
    kind = format or SOUNDS
    encoded = await able(audio.encoded, data, rate, kind)
    media_type = audio.SPOKEN[kind]
    name = await files.put(encoded, media_type)
    return File(name, media_type, len(encoded), seconds=len(data) / audio.WIDTH / rate)
