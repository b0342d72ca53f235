"""Pictures as clients read them: whole answers, and what all their forms have in common.

Source: https://platform.openai.com/docs/api-reference/images/object.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal, TypeAlias, cast

import msgspec
import pybase64
from msgspec import Raw, Struct

import vision
from backends.errors import EngineFailed
from backends.events import Outcome, Usage
from openai_proxy.bodies.image_bodies import USED, Format, Quality, VariationFields

Background: TypeAlias = Literal["transparent", "opaque"]
# Keeps a picture of a media type at an address, and tells that.
Address: TypeAlias = Callable[[bytes, str], str]


class InputDetails(Struct):
    """What the tokens that were read stand for."""

    image_tokens: int
    text_tokens: int


class ImageUsage(Struct):
    """Tokens read and drawn, as the engine counts them."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    total_tokens: int


class ImageItem(Struct, omit_defaults=True):
    """One picture: base64, or where it can be fetched."""

    b64_json: str | None = None
    url: str | None = None


class ImageList(Struct):
    """All pictures; `background`, `quality` and `size` are those that came to be."""

    created: int
    data: list[ImageItem]
    background: Background
    output_format: str
    quality: Quality
    size: str
    usage: ImageUsage


class Look(Struct, frozen=True):
    """How pictures shall look in an answer; `linked`: by their addresses, not as base64."""

    format: Format = "png"
    compression: int = 100
    opaque: bool = False
    quality: Quality = "medium"
    linked: bool = False

    async def written(self, picture: bytes) -> vision.Written:
        """A picture of the engine's as it shall be. Raises EngineFailed for what is none."""
        try:
            return await vision.soon(vision.written, picture, self.format, self.compression, opaque=self.opaque)
        except vision.BadPicture as error:
            raise EngineFailed("The engine drew a picture that cannot be read.") from error


def look_of(body: VariationFields) -> Look:
    """What a body wants to see."""
    quality = body.quality or "auto"
    return Look(
        format=body.output_format or "png",
        compression=100 if body.output_compression is None else body.output_compression,
        opaque=body.background == "opaque",
        quality=USED.get(quality, quality),
        linked=body.response_format == "url",
    )


async def answer(outcome: Outcome, look: Look, address: Address) -> bytes:
    """A whole answer. Raises Overloaded where there is no room for a picture at an address."""
    pictures = await asyncio.gather(*map(look.written, outcome.pictures))
    data = [await _item(picture, look, address) for picture in pictures]
    first = pictures[0]
    found = ImageList(
        created=int(time.time()),
        data=data,
        background=background(first),
        output_format=look.format,
        quality=look.quality,
        size=size(first),
        usage=usage_of(outcome.usage),
    )
    return msgspec.json.encode(found)


async def _item(picture: vision.Written, look: Look, address: Address) -> ImageItem:
    if look.linked:
        return ImageItem(url=address(picture.data, vision.FORMATS[look.format]))
    return ImageItem(b64_json=await vision.soon(base64_of, picture.data))


def base64_of(data: bytes) -> str:
    """Base64 as it goes into JSON as it is: megabytes of text need not be searched for what to escape."""
    return cast(str, Raw(b'"%b"' % pybase64.b64encode(data)))


def background(picture: vision.Written) -> Background:
    return "transparent" if picture.transparent else "opaque"


def size(picture: vision.Written) -> str:
    return f"{picture.width}x{picture.height}"


def usage_of(usage: Usage) -> ImageUsage:
    details = InputDetails(usage.pictures, usage.prompt - usage.pictures)
    return ImageUsage(usage.prompt, details, usage.completion, usage.prompt + usage.completion)
