"""Pictures: `POST /v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`. All of them are red."""

from __future__ import annotations

import base64
import re
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.fake_upstream.answers import Stream, Whole, encode
from openai_proxy.fake_upstream.media import form
from openai_proxy.fake_upstream.requests import Order, Refusal

SIZE = re.compile("([0-9]{1,4})x([0-9]{1,4})")
MOST = 10
# Tokens that each picture that is read is said to have, and each that is drawn.
SEEN, DRAWN = 5, 7


class ImageBody(Struct):
    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: str | None = None
    stream: bool | None = None
    partial_images: int | None = None


def generation(order: Order) -> Whole | Stream:
    body = order.decoded(ImageBody)
    return _answer(order, body, "image_generation", 0)


def edit(order: Order) -> Whole | Stream:
    return _changed(order, "image_edit")


def variation(order: Order) -> Whole | Stream:
    return _changed(order, "")


def _changed(order: Order, subject: str) -> Whole | Stream:
    fields = form(order)
    if not {"image", "image[]"} & fields.keys():
        raise Refusal(400, "image is required", param="image")
    texts = {name: fields[name].decode(errors="replace") for name in ImageBody.__struct_fields__ if name in fields}
    try:
        body = msgspec.convert({"prompt": "", **texts}, ImageBody, strict=False)
    except msgspec.ValidationError as wrong:
        raise Refusal(400, f"The form is not right: {wrong}", "invalid_value") from wrong
    return _answer(order, body, subject, 1)


def _answer(order: Order, body: ImageBody, subject: str, seen: int) -> Whole | Stream:
    order.model(body.model)
    count = body.n or 1
    if not 1 <= count <= MOST:
        raise Refusal(400, f"n must be from 1 to {MOST}", param="n")
    size = SIZE.fullmatch(body.size or "") or SIZE.fullmatch("1x1")
    assert size is not None
    data = base64.b64encode(png(int(size[1]), int(size[2]))).decode()
    words = len(body.prompt.split())
    usage = {
        "input_tokens": words + SEEN * seen,
        "input_tokens_details": {"image_tokens": SEEN * seen, "text_tokens": words},
        "output_tokens": DRAWN * count,
        "total_tokens": words + SEEN * seen + DRAWN * count,
    }
    if body.stream and subject:
        shown = {"b64_json": data, "background": "opaque", "created_at": int(time.time()), "output_format": "png"}
        return _stream(subject, {**shown, "quality": "low", "size": size[0]}, usage, body.partial_images or 0)
    one = {"url": f"data:image/png;base64,{data}"} if body.response_format == "url" else {"b64_json": data}
    return Whole(encode({"created": int(time.time()), "data": [one] * count, "usage": usage}))


def _stream(subject: str, shown: Mapping[str, Any], usage: Mapping[str, Any], partial: int) -> Stream:
    def chunk(number: int) -> bytes:
        return _event(f"{subject}.partial_image", {**shown, "partial_image_index": number})

    return Stream(partial, chunk, finish=_event(f"{subject}.completed", {**shown, "usage": usage}))


def _event(kind: str, content: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **content}))


def png(width: int, height: int) -> bytes:
    """A red picture."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\xff\0\0" * width) * height, 1)
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", rows) + part(b"IEND", b"")
