"""What a prediction's `input` may have, kind by kind: the types by which it is read, and its schema is written.

Source: https://replicate.com/docs/topics/predictions and the inputs of the models that its pages show. Bounds are those
of OpenAI's fields, which are checked after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from backends import Kind, Model

Url = Annotated[str, Meta(description="an https address, a data URI or the address of an uploaded file")]


class TextInput(Struct, kw_only=True):
    """For chat and completion."""

    prompt: str | None = None
    system_prompt: str | None = None
    messages: Annotated[
        list[dict[str, Any]] | None, Meta(description="a conversation in OpenAI's form, in place of prompt")
    ] = None
    prompt_template: Annotated[
        str | None, Meta(description="text with {prompt} and {system_prompt}, for the model as it is")
    ] = None
    max_new_tokens: Annotated[int | None, Meta(description="512 if absent")] = None
    max_tokens: Annotated[int | None, Meta(description="the same")] = None
    min_new_tokens: Annotated[int | None, Meta(description="-1: none")] = None
    min_tokens: int | None = None
    temperature: Annotated[float | None, Meta(description="0.7 if absent")] = None
    top_p: Annotated[float | None, Meta(description="0.95 if absent")] = None
    top_k: Annotated[int | None, Meta(description="0 or -1: all tokens")] = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop_sequences: Annotated[str | None, Meta(description="with commas between")] = None
    stop: str | list[str] | None = None
    seed: int | None = None
    image: Url | None = None


class ImageInput(Struct, kw_only=True):
    """For pictures."""

    prompt: str
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    num_outputs: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    output_format: Literal["webp", "jpg", "jpeg", "png"] | None = None
    image: Url | None = None
    mask: Url | None = None
    prompt_strength: Annotated[float | None, Meta(description="how far the given image may change")] = None


class SpeechInput(Struct, kw_only=True):
    """For speech."""

    text: str | None = None
    prompt: Annotated[str | None, Meta(description="the same")] = None
    voice: str | None = None
    speed: float | None = None
    format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None


class TranscriptionInput(Struct, kw_only=True):
    """For transcriptions."""

    audio: Url | None = None
    audio_file: Annotated[Url | None, Meta(description="the same")] = None
    language: str | None = None
    task: Literal["transcribe", "translate"] | None = None


class EmbeddingInput(Struct, kw_only=True):
    """For vectors."""

    text: str | None = None
    prompt: Annotated[str | None, Meta(description="the same")] = None
    texts: Annotated[list[str] | str | None, Meta(description="several, or JSON of a list")] = None


INPUTS: Mapping[Kind, type[Struct]] = {
    "chat": TextInput,
    "completion": TextInput,
    "image": ImageInput,
    "speech": SpeechInput,
    "transcription": TranscriptionInput,
    "embedding": EmbeddingInput,
}
# A model that takes several kinds is asked for the one that an input is only there for.
SIGNS: Mapping[Kind, frozenset[str]] = {
    "transcription": frozenset({"audio", "audio_file"}),
    "embedding": frozenset({"texts"}),
    "image": frozenset({"negative_prompt", "width", "height", "num_outputs", "num_inference_steps", "guidance_scale"}),
    "speech": frozenset({"voice", "speed", "format", "text"}),
}
# Read as it grows, and put together.
PIECES: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "x-cog-array-type": "iterator",
    "x-cog-array-display": "concatenate",
}
OUTPUTS: Mapping[Kind, Mapping[str, Any]] = {
    "image": {"type": "array", "items": {"type": "string", "format": "uri"}},
    "speech": {"type": "string", "format": "uri"},
    "transcription": {"type": "object", "properties": {"text": {"type": "string"}}},
    "embedding": {"type": "array", "items": {"type": "number"}},
    "chat": PIECES,
    "completion": PIECES,
}


def kind_of(model: Model, given: Mapping[str, Any]) -> Kind | None:
    """What a model is asked for by these inputs; None where it takes none of the kinds that this protocol has."""
    for kind, signs in SIGNS.items():
        if kind in model.kinds and not signs.isdisjoint(given):
            return kind
    return next((kind for kind in INPUTS if kind in model.kinds), None)


def schema(model: Model) -> dict[str, Any]:
    """The inputs and the output of a model's first kind, as Replicate's versions tell it."""
    return _schema(kind_of(model, {}) or "chat")


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    read = INPUTS[kind]
    _, components = msgspec.json.schema_components([read], ref_template="#/components/schemas/{name}")
    inputs = {**components[read.__name__], "title": "Input"}
    output = {**OUTPUTS[kind], "title": "Output"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {},
        "components": {"schemas": {"Input": inputs, "Output": output}},
    }
