"""A server's speech -> events: to a request with a form the encoded sound as it comes, else its samples.

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech, and the media types that other servers give.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
from msgspec import Struct

from backends.events import Event, Relayed, Sound, Usage
from backends.remote.faults import fault_in_stream
from backends.remote.frames import END, Frames
from backends.remote.http import Answer
from backends.remote.samples import Samples
from backends.remote.stream import LARGEST_EVENT
from backends.remote.unreadable import ENDED_EARLY, NO_ANSWER, NOT_UNDERSTOOD, Unreadable
from backends.requests import Form, SpeechRequest

EVENTS = "text/event-stream"
# What a server calls the bytes of a file when it has no better word.
BYTES = frozenset({"application/octet-stream", "binary/octet-stream", "application/ogg"})
FORMATS = {
    **dict.fromkeys(("mpeg", "mp3", "x-mp3", "mpeg3"), "mp3"),
    **dict.fromkeys(("opus", "ogg", "x-opus+ogg"), "opus"),
    **dict.fromkeys(("aac", "aacp", "x-aac"), "aac"),
    **dict.fromkeys(("flac", "x-flac"), "flac"),
    **dict.fromkeys(("wav", "x-wav", "wave", "vnd.wave"), "wav"),
    **dict.fromkeys(("pcm", "x-pcm", "l16", "raw"), "pcm"),
}
RATE = re.compile(r"\brate=(\d{4,6})\b")
PCM_RATE = 24_000
DELTA, DONE = "speech.audio.delta", "speech.audio.done"


class SpeechUsage(Struct, frozen=True):
    """Tokens, as a server counts them."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class SpeechEvent(Struct, frozen=True):
    """An event, as far as it matters here; the sound in it is skipped."""

    type: str | None = None
    usage: SpeechUsage | None = None
    error: Any = None


glance = msgspec.json.Decoder(SpeechEvent).decode


def spoken(answer: Answer, request: SpeechRequest, hide: Callable[[str], str]) -> AsyncGenerator[Event, None]:
    """The events of an answer with status 200, as they come. Raises Unreadable; the generator HttpError and, for an
    error in a stream, Rejected too.
    """
    told = answer.headers.get(b"content-type", b"").decode("latin-1").lower()
    kind, form = told.partition(";")[0].strip(), request.form
    if form is None:
        _check_format(kind, "pcm" if FORMATS.get(kind.removeprefix("audio/")) == "pcm" else "wav")
        rate = RATE.search(told)
        return _sounds(answer, Samples(int(rate[1]) if rate else PCM_RATE) if _is_bare(kind) else Samples())
    wants_events = _text(form, "stream_format") == "sse"
    if kind == EVENTS and wants_events:
        return _events(answer, hide)
    _check_format(kind, _text(form, "response_format"))
    return _written(answer) if wants_events else _file(answer)


def _text(form: Form, field: str) -> str:
    value = form.fields.get(field)
    return "" if value is None else str(msgspec.json.decode(value))


def _is_bare(kind: str) -> bool:
    return FORMATS.get(kind.removeprefix("audio/")) == "pcm"


def _check_format(kind: str, wanted: str) -> None:
    """Raises Unreadable for what is no sound, or one of another format than was asked for."""
    if not kind.startswith("audio/") and kind not in BYTES:
        raise Unreadable(NO_ANSWER)
    told = FORMATS.get(kind.removeprefix("audio/"), wanted)
    if wanted and told != wanted:
        raise Unreadable(f"The server behind this model sent {told} where it was asked for {wanted}.")


async def _file(answer: Answer) -> AsyncGenerator[Event, None]:
    """Encoded sound; nobody knows how much of it is a token."""
    begun = False
    while data := await answer.read():
        begun = True
        yield Relayed(data, 0)
    _check_begun(begun)
    yield Usage()


async def _written(answer: Answer) -> AsyncGenerator[Event, None]:
    """The same as events, for a client that wants them of a server that does not make them."""
    begun = False
    while data := await answer.read():
        begun = True
        yield Relayed(_frame({"type": DELTA, "audio": base64.b64encode(data).decode("ascii")}), 0)
    _check_begun(begun)
    yield Relayed(_frame({"type": DONE, "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}), 0)
    yield Usage()


def _frame(event: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(event)


async def _sounds(answer: Answer, samples: Samples) -> AsyncGenerator[Event, None]:
    made = 0
    while data := await answer.read():
        pcm = samples.feed(data)
        if pcm:
            made += len(pcm)
            yield Sound(pcm, samples.rate)
    _check_begun(made > 0)
    yield Sound(b"", samples.rate, ends=True)
    yield Usage(seconds=made / 2 / samples.rate)


def _check_begun(begun: bool) -> None:
    if not begun:
        raise Unreadable("The server behind this model sent no sound.")


async def _events(answer: Answer, hide: Callable[[str], str]) -> AsyncGenerator[Event, None]:
    stream, frames = _Stream(), Frames(LARGEST_EVENT)
    while not stream.done and (data := await answer.read()):
        block = b"".join([b"data: %b\n\n" % told for told in frames.feed(data) if stream.takes(told)])
        if block:
            yield Relayed(block, 0)
    if stream.error is not None:
        raise fault_in_stream(stream.error, hide)
    if not stream.done:
        raise Unreadable(ENDED_EARLY)
    answer.finish()
    yield stream.usage


class _Stream:
    """What was seen of a stream: its end, its usage, an error that came in place of an event."""

    def __init__(self) -> None:
        self.done = False
        self.usage = Usage()
        self.error: bytes | None = None

    def takes(self, data: bytes) -> bool:
        """Whether an event may go on. Raises Unreadable for what is none of OpenAI's."""
        if self.done or data == END:
            return False
        try:
            seen = glance(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(NOT_UNDERSTOOD) from error
        if seen.error is not None:
            self.error, self.done = data, True
            return False
        if seen.type not in (DELTA, DONE):
            raise Unreadable(NOT_UNDERSTOOD)
        if seen.type == DONE:
            counted = seen.usage or SpeechUsage()
            self.usage = Usage(prompt=counted.input_tokens or 0, completion=counted.output_tokens or 0)
            self.done = True
        return True
