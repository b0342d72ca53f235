"""Requests and events as bytes. Source: https://msgpack.org, by the types of `backends.requests` and `job`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backends import KINDS, Kind
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    SpeechRequest,
    TranscriptionRequest,
)
from openai_proxy.jobs.job import JobEvent

TYPES: Mapping[Kind, type[Request]] = {
    "chat": ChatRequest,
    "completion": CompletionRequest,
    "embedding": EmbeddingRequest,
    "image": ImageRequest,
    "speech": SpeechRequest,
    "transcription": TranscriptionRequest,
}
_events = msgspec.msgpack.Decoder(list[JobEvent])
# So many events are a piece.
PIECE = 64


def kind_of(request: Request) -> Kind:
    """Its kind, one of TYPES."""
    return KINDS[type(request)]


def encode_request(request: Request) -> bytes:
    return msgspec.msgpack.encode(request)


def decode_request(kind: Kind, data: bytes) -> Request:
    """Raises ValueError where it is none of this version of the server."""
    return msgspec.msgpack.decode(data, type=TYPES[kind])


def encode_events(events: Sequence[JobEvent], begin: int) -> list[tuple[int, bytes]]:
    """In pieces, each with how many came before it, `begin` before the first: a reader need not have all at once."""
    return [(begin + at, msgspec.msgpack.encode(events[at : at + PIECE])) for at in range(0, len(events), PIECE)]


def decode_events(data: bytes) -> list[JobEvent]:
    """Raises ValueError."""
    return _events.decode(data)


def pieces_from(pieces: Sequence[tuple[int, bytes]], begin: int, limit: int | None) -> list[tuple[int, bytes]]:
    """So many pieces, from the one on in which the event is that has `begin` before it."""
    passed = sum(first <= begin for first, _ in pieces)
    return list(pieces[max(0, passed - 1) :][:limit])
