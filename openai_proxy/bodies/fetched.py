"""Pictures that a chat names by address: fetched all at once, after all else of the body was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import pybase64
from msgspec import structs

import vision
from backends.requests import ChatRequest, Form, Image, Message, Text
from openai_proxy import media
from openai_proxy.bodies.inlining import inlined
from openai_proxy.bodies.messages import check_pixels
from openai_proxy.config import Limits
from openai_proxy.errors import TooManyItems
from openai_proxy.fetching.address import Address, LocalFile
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.served import Served

T = TypeVar("T")

# What was fetched for one request, by the address as it was written: another model may be asked with it too.
Found: TypeAlias = dict[str, bytes]
# The places of a message and of the part in it.
Place: TypeAlias = tuple[int, int]


async def with_pictures(
    request: ChatRequest, served: Served, fetcher: Fetcher, limits: Limits, found: Found, owner: str
) -> ChatRequest:
    """The request with the pictures themselves, unless the servers behind its model shall fetch them.

    What is in `found` is not fetched, and what is fetched, for `owner`, is put there. Raises UrlNotAllowed, BadImage,
    TooManyItems, QueueFull or QueueTimeout, naming the part.
    """
    named = dict(_named(request.messages))
    if not named:
        return request
    upstream = served.config.fetch == "upstream"
    sources = {place: fetcher.read(part.url, _param(place), upstream=upstream) for place, part in named.items()}
    here = {place: named[place] for place, source in sources.items() if not (upstream and isinstance(source, Address))}
    await _fetch(
        {place: part.url for place, part in here.items()},
        sources,
        fetcher,
        _Room(limits.chat_fetched_bytes, found),
        found,
        owner,
    )
    pictures = {place: await _picture(part, found[part.url], limits, _param(place)) for place, part in here.items()}
    messages = tuple(_shown(message, index, pictures) for index, message in enumerate(request.messages))
    check_pixels(messages, limits)
    form = request.form
    if form is not None and pictures:
        form = await asyncio.to_thread(_inlined, form, pictures)
    return structs.replace(request, messages=messages, form=form)


def _named(messages: Sequence[Message]) -> Iterator[tuple[Place, Image]]:
    for index, message in enumerate(messages):
        parts = message.parts
        if len(parts) == 1 and type(parts[0]) is Text:  # nearly all of them
            continue
        for place, part in enumerate(parts):
            if type(part) is Image and part.url:
                yield (index, place), part


def _param(place: Place) -> str:
    return "messages.{}.content.{}".format(*place)


class _Room:
    """How many bytes may still be fetched for a request."""

    def __init__(self, most: int, found: Found) -> None:
        self.most = most
        self.left = most - sum(map(len, found.values()))

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            message = f"At most {self.most} bytes of pictures are fetched for one chat."
            raise TooManyItems(message, param="messages")


async def _fetch(
    here: Mapping[Place, str],
    sources: Mapping[Place, Address | LocalFile],
    fetcher: Fetcher,
    room: _Room,
    found: Found,
    owner: str,
) -> None:
    """Fetch each address once."""
    missing: dict[str, Place] = {}
    for place, url in here.items():
        if url not in found:
            missing.setdefault(url, place)
    fetches = [
        fetcher.fetch(sources[place], _param(place), vision.is_picture, room.take, owner=owner)
        for place in missing.values()
    ]
    found.update(zip(missing, await _all(fetches), strict=True))


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of these give. The first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as group_of_errors:
        raise group_of_errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _picture(part: Image, data: bytes, limits: Limits, param: str) -> Image:
    """The part with what was fetched for it."""
    found = await asyncio.to_thread(media.picture, data, limits, param)
    return structs.replace(part, data=data, media_type=found.media_type, width=found.width, height=found.height, url="")


def _shown(message: Message, index: int, pictures: Mapping[Place, Image]) -> Message:
    """The message with what was fetched for it."""
    if not any(place[0] == index for place in pictures):
        return message
    parts = tuple(pictures.get((index, place), part) for place, part in enumerate(message.parts))
    return structs.replace(message, parts=parts)


def _inlined(form: Form, pictures: Mapping[Place, Image]) -> Form:
    """The client's own words, with data URLs."""
    urls: dict[Place, str] = {}
    for place, picture in pictures.items():
        urls[place] = f"data:{picture.media_type};base64,{pybase64.b64encode(picture.data).decode('ascii')}"
    return inlined(form, urls)
