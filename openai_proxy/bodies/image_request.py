"""Bodies that ask for pictures -> the engine's request. What the model's engine does not honour is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

import vision
from backends import Model
from backends.errors import BadImage, Unsupported
from backends.requests import EFFORTS, Form, Image, ImageRequest
from openai_proxy import media
from openai_proxy.bodies.checks import able, at_most_characters
from openai_proxy.bodies.image_bodies import (
    USED,
    DrawingFields,
    EditBody,
    VariationBody,
    VariationFields,
)
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

# By these a model says that it honours a field.
NAMES = {
    "seed": "seed",
    "guidance_scale": "guidance",
    "num_inference_steps": "steps",
    "negative_prompt": "negative_prompt",
    "strength": "strength",
    "style": "style",
    "input_fidelity": "input_fidelity",
    "complexity": "complexity",
    "frame_count": "frame_count",
    "frame_duration_ms": "frame_duration_ms",
    "svg": "svg",
    "script": "script",
}
# What goes to the engine as it is.
EXTRA = ("style", "input_fidelity", "complexity", "frame_count", "frame_duration_ms", "svg", "script")
TAKEN = tuple(kind.upper() for kind in vision.FORMATS)
FILES = frozenset({"image", "mask", "markup"})
SMALLEST = 16
B64_JSON = Raw(b'"b64_json"')


def image_request(body: VariationFields, fields: Given, name: str, model: Model, limits: Limits) -> ImageRequest:
    """The body as the engine is asked. Raises InvalidRequest, TooManyItems or Refused, each naming the field."""
    for field in NAMES.keys() & fields.keys():
        if getattr(body, field) != "":
            able(model, NAMES[field], field)
    _check_shown(body, model)
    width, height = _size(body.size, model, limits)
    return ImageRequest(
        model=name,
        n=body.n or 1,
        width=width,
        height=height,
        effort=_effort(body, model),
        steps=body.num_inference_steps,
        guidance=body.guidance_scale,
        strength=body.strength,
        negative_prompt=_bounded(body.negative_prompt or "", limits, "negative_prompt"),
        transparent=body.background == "transparent",
        seed=body.seed,
        extra={field: getattr(body, field) for field in EXTRA if field in fields},
        form=_form(body, fields) if model.relays else None,
        **_said(body, model, limits),
        **_sent(body, model, limits),
    )


def _check_shown(body: VariationFields, model: Model) -> None:
    """What the answer shall look like."""
    kind = body.output_format or "png"
    if kind not in vision.FORMATS:
        able(model, kind, "output_format")
    if body.output_compression is not None and kind not in ("jpeg", "webp"):
        raise InvalidRequest("output_compression is for jpeg and webp.", param="output_compression")
    if body.background == "transparent":
        if kind == "jpeg":
            raise InvalidRequest("A jpeg cannot be transparent: ask for png or webp.", param="background")
        able(model, "transparent", "background")


def _said(body: VariationFields, model: Model, limits: Limits) -> dict[str, Any]:
    """The prompt, and how the pictures shall come."""
    if not isinstance(body, DrawingFields):
        return {}
    if not body.prompt.strip():
        raise InvalidRequest("prompt cannot be empty.", param="prompt")
    if body.partial_images:
        if not body.stream:
            raise InvalidRequest("partial_images needs stream.", param="partial_images")
        able(model, "partial", "partial_images")
    if body.stream:
        _check_streamed(body)
    return {"prompt": _bounded(body.prompt, limits, "prompt"), "partial": body.partial_images or 0}


def _check_streamed(body: DrawingFields) -> None:
    if body.response_format == "url":
        raise InvalidRequest("The pictures of a stream are b64_json.", param="response_format")
    if body.output_format not in (None, *vision.FORMATS):
        raise InvalidRequest(f"A stream cannot be {body.output_format}.", param="output_format")


def _sent(body: VariationFields, model: Model, limits: Limits) -> dict[str, Any]:
    """The task, and the pictures that it begins with."""
    if isinstance(body, EditBody):
        _able_to(model, "edit", "edit pictures")
        return {"task": "edit", **_edited(body, model, limits)}
    if isinstance(body, VariationBody):
        _able_to(model, "vary", "make variations")
        return {"task": "vary", "images": (_image(body.image, _seen(body.image, limits, "image")),)}
    if body.strength is not None and not model.relays:
        raise Unsupported("strength is for edits and variations.", param="strength")
    return {}


def _able_to(model: Model, task: str, words: str) -> None:
    if task not in model.parameters:
        raise Unsupported(f"This model does not {words}.", param="model")


def _edited(body: EditBody, model: Model, limits: Limits) -> dict[str, Any]:
    if body.markup is not None:
        raise Unsupported("markup is not supported: say in the prompt what to change.", param="markup")
    if len(body.image) > 1 and "images" not in model.parameters:
        raise Unsupported("This model takes one picture.", param="image")
    seen = [_seen(data, limits, "image") for data in body.image]
    if sum(each.width * each.height for each in seen) > limits.chat_pixels:
        raise BadImage(f"The pictures have more than {limits.chat_pixels} pixels together.", param="image")
    images = {"images": tuple(map(_image, body.image, seen))}
    if body.mask is None:
        return images
    able(model, "mask")
    return {**images, "mask": _mask(body.mask, seen[0], limits)}


def _seen(data: bytes, limits: Limits, param: str) -> vision.Seen:
    return media.seen(data, limits, param, TAKEN)


def _image(data: bytes, seen: vision.Seen) -> Image:
    return Image(data, seen.media_type, seen.width, seen.height)


def _mask(data: bytes, first: vision.Seen, limits: Limits) -> Image:
    """The mask, which has to fit the first picture."""
    seen = _seen(data, limits, "mask")
    if seen.upright != first.upright:
        sides = "{}x{}, and the picture {}x{}".format(*seen.upright, *first.upright)
        raise BadImage(f"mask is {sides}: they must be the same.", param="mask")
    if not seen.transparent:
        raise BadImage("mask must be transparent where the picture may change.", param="mask")
    return _image(data, seen)


def _size(size: str | None, model: Model, limits: Limits) -> tuple[int | None, int | None]:
    """Width and height, None where the model may choose."""
    if size is None or size == "auto":
        return None, None
    width, height = map(int, size.split("x"))
    if model.sides is not None:
        if not model.sides.allow((width, height)):
            raise InvalidRequest(f"size: the sides of this model's pictures are {model.sides}.", param="size")
    elif model.sizes:
        if (width, height) not in model.sizes:
            known = ", ".join(f"{width}x{height}" for width, height in model.sizes)
            raise InvalidRequest(f"size: this model draws {known} or auto.", param="size")
    elif not all(SMALLEST <= side <= limits.drawn_side for side in (width, height)):
        raise InvalidRequest(f"size: a side has {SMALLEST} to {limits.drawn_side} pixels.", param="size")
    return width, height


def _effort(body: VariationFields, model: Model) -> float:
    quality = body.quality or "auto"
    effort = EFFORTS[USED.get(quality, quality)]
    if effort != 1.0:
        able(model, "effort", "quality")
        if body.num_inference_steps is not None and not model.relays:
            message = "quality and num_inference_steps exclude each other."
            raise InvalidRequest(message, param="quality")
    return effort


def _bounded(text: str, limits: Limits, param: str) -> str:
    at_most_characters(text, limits.image_prompt, param)
    return text


def _form(body: VariationFields, fields: Given) -> Form:
    """The client's own fields, without the files. Addresses are this server's: it asks for the pictures themselves."""
    stream = isinstance(body, DrawingFields) and bool(body.stream)
    if body.response_format == "url":
        return Form({**fields, "response_format": B64_JSON}, stream)
    return Form(fields, stream, fields.body)


def given_of(body: VariationFields, names: frozenset[str]) -> Given:
    """The fields that a form sets, but for its files, as if they had come in JSON."""
    return Given({name: Raw(msgspec.json.encode(getattr(body, name))) for name in names - FILES})
