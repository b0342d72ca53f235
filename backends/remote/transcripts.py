"""A server's transcript of a sound -> events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from backends.events import Delta, Event, Finish, Segment, TokenLogprob, Usage, Word
from backends.remote.chunks import reader

Byte: TypeAlias = Annotated[int, Meta(ge=0, le=255)]


class Spoken(Struct, frozen=True):
    """A part of a transcript."""

    start: float = 0.0
    end: float = 0.0
    text: str = ""
    tokens: list[int] = []
    avg_logprob: float = 0.0
    temperature: float | None = None
    no_speech_prob: float = 0.0


class SpokenWord(Struct, frozen=True):
    """A word of a transcript, without the space before it."""

    word: str
    start: float = 0.0
    end: float = 0.0


class SpokenToken(Struct, frozen=True):
    """A token of a transcript."""

    token: str = ""
    logprob: float | None = None
    data: list[Byte] | None = msgspec.field(default=None, name="bytes")


class Heard(Struct, frozen=True):
    """What a transcription cost: seconds of sound, or tokens."""

    seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Transcript(Struct, frozen=True):
    """What was said."""

    text: str
    usage: Heard = Heard()
    language: str = ""
    duration: float | str | None = None
    segments: list[Spoken] | None = None
    words: list[SpokenWord] | None = None
    logprobs: list[SpokenToken] | None = None


read_transcript = reader(Transcript)


def events_of_transcript(body: bytes) -> Iterator[Event]:
    """Segments where it has them, else all of it at once. Raises Unreadable."""
    found = read_transcript(body)
    cost = found.usage
    words = deque(Word(f" {each.word.strip()}", each.start, each.end) for each in found.words or ())
    if found.segments is None:
        yield Delta(found.text, logprobs=_sure(found.logprobs))
        if words:
            yield Segment(words[0].start, words[-1].end, found.text, language=found.language, words=tuple(words))
    for number, each in enumerate(found.segments or (), start=1):
        own = []
        while words and (words[0].start < each.end or number == len(found.segments or ())):
            own.append(words.popleft())
        yield Delta(each.text)
        yield _segment(each, found.language, tuple(own))
    yield Finish("stop")
    seconds = float(found.duration or cost.seconds or 0.0)
    yield Usage(prompt=cost.input_tokens or 0, completion=cost.output_tokens or 0, seconds=seconds)


def _segment(spoken: Spoken, language: str, words: tuple[Word, ...]) -> Segment:
    return Segment(
        start=spoken.start,
        end=spoken.end,
        text=spoken.text,
        tokens=tuple(spoken.tokens),
        logprob=spoken.avg_logprob,
        language=language,
        words=words,
        temperature=spoken.temperature,
        silence=spoken.no_speech_prob,
    )


def _sure(tokens: list[SpokenToken] | None) -> tuple[TokenLogprob, ...] | None:
    if tokens is None:
        return None
    return tuple(TokenLogprob(each.token, each.logprob, _data(each)) for each in tokens)


def _data(token: SpokenToken) -> bytes:
    return token.token.encode() if token.data is None else bytes(token.data)
