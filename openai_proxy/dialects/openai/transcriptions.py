"""`POST /v1/audio/transcriptions` and `POST /v1/audio/translations`.

Source: https://platform.openai.com/docs/api-reference/audio, as the `openai` Python SDK types it. Translations take
`language` and `stream` too, as vLLM's do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from backends import Model
from backends.errors import Unsupported
from backends.events import Outcome
from backends.requests import Granularity, TranscriptionRequest
from openai_proxy import media
from openai_proxy.config import Limits
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.checks import able, served_model
from openai_proxy.dialects.openai.fields import whole
from openai_proxy.dialects.openai.transcripts import TranscriptFrames, transcript
from openai_proxy.errors import InvalidRequest, UnsupportedMediaType
from openai_proxy.forms import boundary_of, read_form
from openai_proxy.wire import Incoming, Reply, Stream

Task: TypeAlias = Literal["transcribe", "translate"]
Format: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
TIMED = frozenset({"srt", "verbose_json", "vtt"})
ABLE = ("language", "prompt", "temperature")


class TranslationBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/audio/translations`."""

    file: bytes
    model: str | None = None
    language: Annotated[str, whole("[a-z]{2,3}")] | None = None
    prompt: str | None = None
    response_format: Format = "json"
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool | None = None


class TranscriptionBody(
    TranslationBody,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"timestamp_granularities": "timestamp_granularities[]", "include": "include[]"},
):
    """`POST /v1/audio/transcriptions`; `chunking_strategy` is always `auto`."""

    timestamp_granularities: list[Granularity] | None = None
    chunking_strategy: Literal["auto"] | None = None
    include: list[Literal["logprobs"]] | None = None


class Transcriptions:
    """Writes down what is said, or says it in English."""

    def __init__(self, edge: Edge, task: Task) -> None:
        self.edge = edge
        self.task = task
        self.body = TranscriptionBody if task == "transcribe" else TranslationBody

    async def __call__(self, incoming: Incoming) -> Reply | Stream:
        boundary = boundary_of(incoming.content_type)
        if boundary is None:
            raise UnsupportedMediaType("Content-Type must be multipart/form-data with a boundary.")
        limits = self.edge.config.limits
        body, fields = await asyncio.to_thread(read_form, incoming.body, boundary, self.body, limits)
        served = served_model(self.edge.router, body.model, "transcription", limits)
        incoming.note_model(served.name)
        request = transcription_request(body, fields, self.task, served.called(body.model), served.model, limits)
        events = self.edge.router.run(request)
        if body.stream:
            return Stream(events, TranscriptFrames())
        outcome = await Outcome.of(events)
        headers, data = transcript(outcome, request, body.response_format)
        return Reply(data, headers=headers)


def transcription_request(
    body: TranslationBody, fields: Set[str], task: Task, name: str, model: Model, limits: Limits
) -> TranscriptionRequest:
    """The form as the engine is asked. Raises InvalidRequest or Refused, each naming the field."""
    for field in ABLE:
        if field in fields:
            able(model, field)
    if task == "translate" and "translate" not in model.parameters:
        raise Unsupported("This model does not translate.", param="model")
    if body.stream and body.response_format not in ("json", "text"):
        raise InvalidRequest(f"A stream cannot be {body.response_format}.", param="response_format")
    wanted: tuple[Granularity, ...] = ()
    if body.response_format in TIMED:
        able(model, "segment_timestamps", "response_format")
        wanted = ("segment",)
    if isinstance(body, TranscriptionBody):
        wanted = _granularities(body, model, wanted)
    return TranscriptionRequest(
        model=name,
        audio=media.sound(body.file, limits.audio_seconds, "file"),
        language=body.language,
        prompt=body.prompt or "",
        temperature=body.temperature,
        task=task,
        timestamps=wanted,
    )


def _granularities(body: TranscriptionBody, model: Model, wanted: tuple[Granularity, ...]) -> tuple[Granularity, ...]:
    if body.include is not None:
        raise Unsupported("This model gives no logprobs with a transcript.", param="include[]")
    if body.timestamp_granularities is None:
        return wanted
    param = "timestamp_granularities[]"
    if body.response_format != "verbose_json":
        raise InvalidRequest(f"{param} needs response_format verbose_json.", param=param)
    for granularity in body.timestamp_granularities:
        able(model, f"{granularity}_timestamps", param)
    return tuple(dict.fromkeys(body.timestamp_granularities))
