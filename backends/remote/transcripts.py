"""A server's transcript of a sound -> events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from backends.events import Delta, Event, Finish, Segment, TokenLogprob, Usage, Word
from backends.remote.chunks import events_of, reader
from backends.remote.frames import END, Frames
from backends.remote.stream import LARGEST_EVENT
from backends.remote.unreadable import NOT_UNDERSTOOD, Unreadable

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
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def usage(self) -> Usage:
        """By whichever names the server has for its tokens."""
        read, written = self.input_tokens or self.prompt_tokens, self.output_tokens or self.completion_tokens
        return Usage(read or 0, written or 0, seconds=self.seconds or 0.0)


class Transcript(Struct, frozen=True):
    """What was said."""

    text: str
    usage: Heard = Heard()
    language: str = ""
    duration: float | str | None = None
    segments: list[Spoken] | None = None
    words: list[SpokenWord] | None = None
    logprobs: list[SpokenToken] | None = None


class Glance(Struct, frozen=True):
    """An event of a stream: OpenAI's, or a chunk as vLLM writes it, which has choices."""

    type: str = ""
    delta: str = ""
    start: float = 0.0
    end: float = 0.0
    text: str = ""
    logprobs: list[SpokenToken] | None = None
    usage: Heard | None = None
    choices: Any = None
    error: Any = None


read_transcript = reader(Transcript)
glance = reader(Glance)


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


class TranscriptStream:
    """One stream. `feed` it all that comes.

    `finished` says that the text is complete, `done` that no more is to come; `usage` is what it cost, and `error` what
    the server told in place of an event. Source: https://platform.openai.com/docs/api-reference/audio.
    """

    def __init__(self) -> None:
        self.finished = False
        self.done = False
        self.usage = Usage()
        self.error: bytes | None = None
        self._frames = Frames(LARGEST_EVENT)

    def feed(self, data: bytes) -> list[Event]:
        """What is said in the events that are whole now. Raises Unreadable for what is no event of a transcript."""
        return [event for told in self._frames.feed(data) for event in self._look(told)]

    def _look(self, data: bytes) -> Iterator[Event]:
        if self.done or data == END:
            self.done = True
            return
        seen = glance(data)
        if seen.usage is not None:
            self.usage = seen.usage.usage
        if seen.error is not None:
            self.error, self.done = data, True
        elif seen.choices is not None:
            for event in events_of(data):
                self.finished |= isinstance(event, Finish)
                yield event
        elif seen.type == "transcript.text.delta":
            yield Delta(seen.delta, logprobs=_sure(seen.logprobs))
        elif seen.type == "transcript.text.segment":
            yield Segment(seen.start, seen.end, seen.text)
        elif seen.type == "transcript.text.done":
            self.finished = self.done = True
            yield Finish("stop")
        else:
            raise Unreadable(NOT_UNDERSTOOD)
