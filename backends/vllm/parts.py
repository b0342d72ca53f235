"""Pictures and sounds in a chat -> parts that vLLM's renderer takes: pixels and PCM that were decoded here."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from audio import Clip, wav
from backends import Modality, media
from backends.errors import Refused, Unsupported
from backends.requests import Audio, Image, Message, Part, Text
from backends.vllm.loaded import Loaded

Contents: TypeAlias = dict[int, list[dict[str, Any]]]
KINDS: dict[type[Part], Modality] = {Image: "image", Audio: "audio"}


@asynccontextmanager
async def contents(loaded: Loaded, conversation: Sequence[Message]) -> AsyncGenerator[Contents]:
    """The parts of each message that is more than words, by its place: pixels, so only a few chats hold theirs at once.

    Raises Refused.
    """
    if all(message.plain for message in conversation):
        yield {}
        return
    _check(loaded, conversation)
    async with loaded.decoding:
        found = await media.decoded(conversation)
        # Millions of pixels are copied, which takes a moment.
        yield await asyncio.to_thread(_told, conversation, found)


def _check(loaded: Loaded, conversation: Sequence[Message]) -> None:
    """Raises Unsupported for what the model does not take, Refused for more than it takes at once."""
    found: Counter[Modality] = Counter()
    for place, message in enumerate(conversation):
        for index, part in enumerate(message.parts):
            if type(part) not in KINDS:
                continue
            kind = KINDS[type(part)]
            if kind not in loaded.media:
                param = f"messages.{place}.content.{index}"
                raise Unsupported(f"This model does not take {kind} parts.", param=param)
            found[kind] += 1
    for kind, count in found.items():
        most = loaded.media[kind]
        if count > most:
            raise Refused(f"This model takes at most {most} {kind} parts in one chat, not {count}.", param="messages")


def _told(conversation: Sequence[Message], found: dict[int, list[media.Decoded]]) -> Contents:
    return {place: list(map(_part, conversation[place].parts, row)) for place, row in found.items()}


def _part(part: Part, decoded: media.Decoded) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(decoded, Clip):
        data = base64.b64encode(wav(decoded)).decode("ascii")
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    assert decoded is not None
    return {"type": "image_pil", "image_pil": decoded.pixels()}
