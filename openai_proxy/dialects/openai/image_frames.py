"""Pictures as they come to be, as server-sent events.

Source: https://platform.openai.com/docs/api-reference/images-streaming. There is no end mark: a stream ends with the
last picture.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

import vision
from backends.events import Event, Picture, Relayed, Usage
from openai_proxy.dialects.openai.image_answers import (
    Background,
    ImageUsage,
    Look,
    background,
    base64_of,
    size,
    usage_of,
)

Subject: TypeAlias = Literal["image_generation", "image_edit"]


class PartialImage(Struct, kw_only=True):
    """A picture that is not finished."""

    type: str
    b64_json: str
    background: Background
    created_at: int
    output_format: str
    partial_image_index: int
    quality: str
    size: str


class CompletedImage(Struct, kw_only=True):
    """A finished picture. Of several the last one has the usage of all."""

    type: str
    b64_json: str
    background: Background
    created_at: int
    output_format: str
    quality: str
    size: str
    usage: ImageUsage


async def frames(events: AsyncGenerator[Event], subject: Subject, look: Look) -> AsyncGenerator[bytes, None]:
    """The stream that the engine's events make. Each picture is encoded on the way, off the event loop."""
    last: vision.Written | None = None
    usage = Usage()
    async with aclosing(events):
        async for event in events:
            match event:
                case Picture(partial=None):
                    if last is not None:
                        yield _completed(last, Usage(), subject, look)
                    last = await look.written(event.data)
                case Picture(partial=int(partial)):
                    yield _partial(await look.written(event.data), partial, subject, look)
                case Usage():
                    usage = event
                case Relayed(data=data):
                    yield data
    if last is not None:
        yield _completed(last, usage, subject, look)


def _partial(picture: vision.Written, index: int, subject: Subject, look: Look) -> bytes:
    return _frame(
        PartialImage(
            type=f"{subject}.partial_image",
            b64_json=base64_of(picture.data),
            background=background(picture),
            created_at=int(time.time()),
            output_format=look.format,
            partial_image_index=index,
            quality=look.quality,
            size=size(picture),
        )
    )


def _completed(picture: vision.Written, usage: Usage, subject: Subject, look: Look) -> bytes:
    return _frame(
        CompletedImage(
            type=f"{subject}.completed",
            b64_json=base64_of(picture.data),
            background=background(picture),
            created_at=int(time.time()),
            output_format=look.format,
            quality=look.quality,
            size=size(picture),
            usage=usage_of(usage),
        )
    )


def _frame(event: PartialImage | CompletedImage) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), msgspec.json.encode(event))
