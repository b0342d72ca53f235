"""Bodies of `POST /v1/images/generations` (JSON), `/v1/images/edits` and `/v1/images/variations` (forms).

Source: https://platform.openai.com/docs/api-reference/images, as the `openai` Python SDK types it; the last fields are
those that users of Diffusers send through `extra_body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from openai_proxy.bodies.fields import Integer, Label, whole

Quality: TypeAlias = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]
Format: TypeAlias = Literal["png", "jpeg", "webp", "gif", "svg"]
Amount: TypeAlias = Literal["low", "medium", "high"]
# What is used, where OpenAI has other words for it.
USED: Mapping[Quality, Quality] = {"auto": "medium", "standard": "medium", "hd": "high"}


class VariationFields(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of every request for pictures; `user`, `safety_identifier` and `moderation` have no effect."""

    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    size: Annotated[str, whole("(auto|[0-9]{1,6}x[0-9]{1,6})")] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: Format | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    quality: Quality | None = None
    moderation: Literal["low", "auto"] | None = None
    user: Label | None = None
    safety_identifier: Label | None = None

    seed: Integer | None = None
    guidance_scale: Annotated[float, Meta(ge=0, le=100)] | None = None
    num_inference_steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    negative_prompt: str | None = None
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None


class DrawingFields(VariationFields, kw_only=True, forbid_unknown_fields=True):
    """What is the same where there is a prompt."""

    prompt: str
    stream: bool | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    complexity: Amount | None = None
    frame_count: Annotated[int, Meta(ge=2, le=16)] | None = None
    frame_duration_ms: Annotated[int, Meta(ge=1, le=655_350)] | None = None


class SvgReasoning(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How much a model thinks about an SVG."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


class Svg(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Who writes an SVG."""

    model: str | None = None
    reasoning: SvgReasoning | None = None


class GenerationBody(DrawingFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/images/generations`; `script` is for the backend `echo`."""

    style: Literal["vivid", "natural"] | None = None
    svg: Svg | None = None
    script: dict[str, Any] | None = None


class EditBody(DrawingFields, kw_only=True, forbid_unknown_fields=True, rename={"image": "image[]"}):
    """`POST /v1/images/edits`, a form; several pictures are `image[]`, one may be `image`."""

    image: list[bytes]
    mask: bytes | None = None
    markup: bytes | None = None
    input_fidelity: Literal["high", "low"] | None = None
    svg: Svg | None = None


class VariationBody(VariationFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/images/variations`, a form."""

    image: bytes
