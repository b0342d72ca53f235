"""The messages of a body as its client wrote them, but with other addresses for pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from backends.requests import Form
from openai_proxy.bodies.chat_body import ImagePart, InputImagePart, Message
from openai_proxy.media import unwrapped

# The address of a picture, by the places of its message and of the part in that.
Urls: TypeAlias = Mapping[tuple[int, int], str]


def inlined(form: Form, urls: Urls) -> Form:
    """The same form, with these addresses. Decodes and encodes all messages."""
    messages: list[dict[str, Any]] = msgspec.json.decode(form.fields["messages"])
    for (message, part), url in urls.items():
        picture = messages[message]["content"][part]
        named = picture["image_url"]
        picture["image_url"] = {**named, "url": url} if isinstance(named, dict) else url
    return Form({**form.fields, "messages": Raw(msgspec.json.encode(messages))}, form.stream)


def mended(form: Form, given: Iterable[Message]) -> Form:
    """The form for a server that knows no data URLs in the shape of Python's bytes."""
    urls: dict[tuple[int, int], str] = {}
    for message, each in enumerate(given):
        if isinstance(each.content, list):
            for place, part in enumerate(each.content):
                if isinstance(part, ImagePart | InputImagePart):
                    url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
                    if (plain := unwrapped(url)) is not url:
                        urls[message, place] = plain
    return inlined(form, urls) if urls else form
