"""A server's whole answers -> events. Those to a request with a form go on as they are, but for the model's name."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from typing import assert_never

import msgspec
from msgspec import Struct

from backends.errors import OtherKind
from backends.events import Embedding, Event, Relayed, Score, Tokens, Usage
from backends.remote.chunks import Counted, events_of, reader
from backends.remote.drawing import events_of_pictures
from backends.remote.stream import MODEL
from backends.remote.transcripts import events_of_transcript
from backends.remote.unreadable import NOT_UNDERSTOOD, Unreadable
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    ScoreRequest,
    SpeechRequest,
    TokenizeRequest,
    TranscriptionRequest,
)

# Where a large answer has what is not its vectors: at one of its ends.
END = 1000
USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*\})')


class Choices(Struct, frozen=True):
    """A whole answer, as far as it matters where it goes on as it is. Choices are required."""

    choices: list[msgspec.Raw]
    model: str | None = None
    usage: Counted | None = None


class Vector(Struct, frozen=True):
    """The vector of one input."""

    embedding: list[float] | str
    index: int = 0


class Vectors(Struct, frozen=True):
    """All vectors."""

    data: list[Vector]
    usage: Counted | None = None


class Ranked(Struct, frozen=True):
    """The score of one document."""

    index: int
    relevance_score: float | None = None
    score: float | None = None


class Ranking(Struct, frozen=True):
    """Scores of documents: `results` of a rerank, `data` of a score."""

    results: list[Ranked] = []
    data: list[Ranked] = []
    usage: Counted | None = None


class Ids(Struct, frozen=True):
    """A text's tokens."""

    tokens: list[int]
    token_strs: list[str] | None = None


class Words(Struct, frozen=True):
    """The text of tokens."""

    prompt: str


read_choices = reader(Choices)
read_vectors = reader(Vectors)
read_ranking = reader(Ranking)
read_ids = reader(Ids)
read_words = reader(Words)


def events_of_whole(request: Request, body: bytes) -> Iterator[Event]:
    """What a server answered to a request that was no stream. Raises Unreadable."""
    match request:
        case ChatRequest() | CompletionRequest():
            return _text(request, body)
        case EmbeddingRequest():
            return _embedding(request, body)
        case ScoreRequest():
            return _scores(request, body)
        case TokenizeRequest():
            return _tokens(body)
        case DetokenizeRequest():
            return iter([Tokens((), text=read_words(body).prompt)])
        case TranscriptionRequest():
            return events_of_transcript(body)
        case ImageRequest():
            return events_of_pictures(request, body)
        case SpeechRequest():
            raise OtherKind
        case _:
            assert_never(request)


def _text(request: ChatRequest | CompletionRequest, body: bytes) -> Iterator[Event]:
    found = read_choices(body)
    if request.form is None:
        yield from events_of(body)
    else:
        if found.model and found.model != request.model:
            body = renamed(body, found.model, request.model)
        yield Relayed(body, len(found.choices))
    if found.usage is not None:
        yield found.usage.usage


def renamed(body: bytes, theirs: str, ours: str) -> bytes:
    """The same answer under another name of the model."""
    for found in MODEL.finditer(body):
        if msgspec.json.decode(found[2]) == theirs:
            return body[: found.start(2)] + msgspec.json.encode(ours) + body[found.end(2) :]
    return body


def _embedding(request: EmbeddingRequest, body: bytes) -> Iterator[Event]:
    """Vectors that go on as they are may be megabytes: nothing but the two ends of such an answer is read."""
    if request.form is None:
        yield from _vectors(body)
        return
    body = body.strip()
    if not body.startswith(b"{") or not body.endswith(b"}") or b'"data"' not in body[:END] + body[-END:]:
        raise Unreadable(NOT_UNDERSTOOD)
    for begin, end in ((0, END), (max(END, len(body) - END), len(body))):
        found = MODEL.search(body, begin, end)
        if found is not None:
            ours = msgspec.json.encode(request.model)
            if found[2] != ours:
                view = memoryview(body)
                body = b"".join((view[: found.start(2)], ours, view[found.end(2) :]))
            break
    yield Relayed(body)
    counted = [*USAGE.findall(body, max(0, len(body) - END)), *USAGE.findall(body, 0, END)]
    if counted:
        yield reader(Counted)(counted[0]).usage


def _vectors(body: bytes) -> Iterator[Event]:
    found = read_vectors(body)
    for item in found.data:
        yield Embedding(_floats(item.embedding), item.index)
    yield _usage(found.usage)


def _floats(given: list[float] | str) -> bytes:
    """float32 in native byte order; base64 of them is little-endian."""
    if not isinstance(given, str):
        return struct.pack(f"={len(given)}f", *given)
    try:
        data = base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise Unreadable(NOT_UNDERSTOOD) from error
    count = len(data) // 4
    return struct.pack(f"={count}f", *struct.unpack(f"<{count}f", data[: 4 * count]))


def _scores(request: ScoreRequest, body: bytes) -> Iterator[Event]:
    found = read_ranking(body)
    items = [*found.results, *found.data]
    if sorted(item.index for item in items) != list(range(len(request.documents))):
        raise Unreadable
    for item in items:
        value = item.relevance_score if item.relevance_score is not None else item.score
        yield Score(value or 0.0, item.index)
    yield _usage(found.usage)


def _tokens(body: bytes) -> Iterator[Event]:
    found = read_ids(body)
    yield Tokens(tuple(found.tokens), None if found.token_strs is None else tuple(found.token_strs))


def _usage(counted: Counted | None) -> Usage:
    return Usage() if counted is None else counted.usage
