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


def kind_of(request: Request) -> Kind:
    """Its kind, one of TYPES."""
    return KINDS[type(request)]


def encode_request(request: Request) -> bytes:
    return msgspec.msgpack.encode(request)


def decode_request(kind: Kind, data: bytes) -> Request:
    """Raises ValueError where it is none of this version of the server."""
    return msgspec.msgpack.decode(data, type=TYPES[kind])


def encode_events(events: Sequence[JobEvent]) -> bytes:
    return msgspec.msgpack.encode(events)


def decode_events(data: bytes) -> list[JobEvent]:
    """Raises ValueError."""
    return _events.decode(data)
