"""Pictures in a chat -> parts that llama.cpp's server takes: PNGs of pixels that were decoded apart from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pybase64

from backends import media
from backends.errors import Unsupported
from backends.requests import Image, Message, Part, Text

Contents: TypeAlias = dict[int, list[dict[str, Any]]]
# More than the models that llama.cpp knows look at; what a request's `detail` says may be less.
SIDE = 2048


async def contents(conversation: Sequence[Message]) -> Contents:
    """The parts of each message that is more than words, by its place. Raises Refused."""
    made: Contents = {}
    for place, message in enumerate(conversation):
        if not message.plain:
            parts = enumerate(message.parts)
            made[place] = [await _part(part, f"messages.{place}.content.{index}") for index, part in parts]
    return made


def check_none(conversation: Sequence[Message]) -> None:
    """For what the engine does with words only. Raises Unsupported."""
    for place, message in enumerate(conversation):
        for index, part in enumerate(message.parts):
            if not isinstance(part, Text):
                param = f"messages.{place}.content.{index}"
                raise Unsupported("The tokens of pictures cannot be told.", param=param)


async def _part(part: Part, param: str) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if not isinstance(part, Image):
        raise Unsupported("This model does not take audio parts.", param=param)
    shown = await media.shown(part, param, "png", SIDE)
    url = f"data:image/png;base64,{pybase64.b64encode_as_string(shown.data)}"
    return {"type": "image_url", "image_url": {"url": url}}
