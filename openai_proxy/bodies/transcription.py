"""The bodies of `POST /v1/audio/transcriptions` and `POST /v1/audio/translations` -> TranscriptionRequest.

Source: https://platform.openai.com/docs/api-reference/audio, as the `openai` Python SDK types it. Translations take
`language` and `stream` too, as vLLM's do.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from backends import Model
from backends.errors import Unsupported
from backends.requests import Detection, Granularity, TranscriptionRequest
from openai_proxy import media
from openai_proxy.bodies.checks import able
from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest

Task: TypeAlias = Literal["transcribe", "translate"]
Format: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
TIMED = frozenset({"srt", "verbose_json", "vtt"})
ABLE = ("language", "prompt", "temperature")
CODE = "[a-z]{2,3}"
CHUNK = "(none|silence|interval|[1-9][0-9]{0,8})"


class TranslationBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/audio/translations`."""

    file: bytes
    model: str | None = None
    language: Annotated[str, Meta(extra_json_schema={"pattern": f"^{CODE}$"})] | None = None
    prompt: str | None = None
    response_format: Format = "json"
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool | None = None


class ServerVad(Struct, kw_only=True, forbid_unknown_fields=True):
    """What counts as speech; times in milliseconds."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    silence_duration_ms: Annotated[int, Meta(ge=0, le=60_000)] = 200
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=60_000)] = 300

    def detection(self) -> Detection:
        """The same in seconds."""
        return Detection(self.threshold, self.silence_duration_ms / 1000, self.prefix_padding_ms / 1000)


class TranscriptionBody(
    TranslationBody,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"timestamp_granularities": "timestamp_granularities[]", "include": "include[]"},
):
    """`POST /v1/audio/transcriptions`. `chunk` is h2oGPT's: with it a stream has its form."""

    timestamp_granularities: list[Granularity] | None = None
    chunking_strategy: Literal["auto"] | ServerVad | None = None
    include: list[Literal["logprobs"]] | None = None
    chunk: Annotated[str, Meta(extra_json_schema={"pattern": f"^{CHUNK}$"})] | None = None


def transcription_request(
    body: TranslationBody, fields: Set[str], task: Task, name: str, model: Model, limits: Limits
) -> TranscriptionRequest:
    """The form as the engine is asked. Raises InvalidRequest or Refused, each naming the field."""
    for field in ABLE:
        if field in fields:
            able(model, field)
    if body.language is not None and not re.fullmatch(CODE, body.language):
        message = "language must be a code of ISO 639: en for English, de for German, zh for Chinese."
        raise InvalidRequest(message, param="language")
    if task == "translate" and "translate" not in model.parameters:
        raise Unsupported("This model does not translate.", param="model")
    if body.stream and body.response_format not in ("json", "text"):
        raise InvalidRequest(f"A stream cannot be {body.response_format}.", param="response_format")
    timestamps = shown(body)
    if body.response_format in TIMED:
        able(model, "segment_timestamps", "response_format")
    more = _more(body, model) if isinstance(body, TranscriptionBody) else More()
    return TranscriptionRequest(
        model=name,
        audio=media.sound(body.file, limits.audio_seconds, "file"),
        language=body.language,
        prompt=body.prompt or "",
        temperature=body.temperature,
        task=task,
        timestamps=tuple(dict.fromkeys((*timestamps, *more.timestamps))),
        detection=more.detection,
        logprobs=more.logprobs,
        stream=bool(body.stream),
    )


def shown(body: TranslationBody) -> tuple[Granularity, ...]:
    """The times that an answer shows."""
    asked = body.timestamp_granularities if isinstance(body, TranscriptionBody) else None
    if asked is not None:
        return tuple(dict.fromkeys(asked))
    return ("segment",) if body.response_format in TIMED else ()


class More(Struct, frozen=True):
    """What only transcriptions can ask of an engine; `timestamps` beside those that are shown."""

    timestamps: tuple[Granularity, ...] = ()
    detection: Detection | None = None
    logprobs: bool = False


def _more(body: TranscriptionBody, model: Model) -> More:
    """Raises InvalidRequest or Unsupported, naming the field."""
    if body.include is not None:
        able(model, "transcript_logprobs", "include[]")
        if body.response_format != "json":
            raise InvalidRequest("include[] needs response_format json.", param="include[]")
    _check_granularities(body, model)
    return More(_needed(body, model), _detection(body, model), body.include is not None)


def _check_granularities(body: TranscriptionBody, model: Model) -> None:
    if body.timestamp_granularities is None:
        return
    param = "timestamp_granularities[]"
    if body.stream and "word" in body.timestamp_granularities:
        raise InvalidRequest("A stream tells the times of segments, not of words.", param=param)
    if not body.stream and body.response_format != "verbose_json":
        raise InvalidRequest(f"{param} needs response_format verbose_json.", param=param)
    for granularity in body.timestamp_granularities:
        able(model, f"{granularity}_timestamps", param)


def _needed(body: TranscriptionBody, model: Model) -> tuple[Granularity, ...]:
    """The times by which h2oGPT's pieces are told apart: only between words are there pauses."""
    if body.chunk is not None and not re.fullmatch(CHUNK, body.chunk):
        raise InvalidRequest("chunk must be none, silence, interval or a number of milliseconds.", param="chunk")
    if body.chunk is None or body.chunk == "none":
        return ()
    able(model, "segment_timestamps", "chunk")
    return ("segment", "word") if body.chunk == "silence" and "word_timestamps" in model.parameters else ("segment",)


def _detection(body: TranscriptionBody, model: Model) -> Detection | None:
    """Engines that detect no speech cut sound where it is quiet, which is all that `auto` asks of them."""
    match body.chunking_strategy:
        case ServerVad() as vad:
            able(model, "server_vad", "chunking_strategy")
            return vad.detection()
        case "auto" if "server_vad" in model.parameters:
            return Detection(normalised=True)
        case _:
            return None
