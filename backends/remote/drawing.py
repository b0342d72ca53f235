"""Pictures by a server of OpenAI's API: what it is asked, and its answers, whole or as a stream.

Source: https://platform.openai.com/docs/api-reference/images and images-streaming.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from backends.events import Event, Picture, Relayed, Usage
from backends.remote.chunks import reader
from backends.remote.frames import END, Frames
from backends.remote.stream import WRONG
from backends.remote.unreadable import NOT_UNDERSTOOD, Unreadable
from backends.requests import ImageRequest

# Base64 of some thirty megapixels that cannot be compressed.
LARGEST_EVENT = 128_000_000
TYPE = re.compile(r"image_[a-z_.]{1,100}")
# The least effort for which a quality is asked that OpenAI has a word for.
QUALITIES = ((4.0, "max"), (3.0, "xhigh"), (2.0, "high"))


class Read(Struct, frozen=True):
    """What the tokens that were read stand for."""

    image_tokens: int | None = None


class Spent(Struct, frozen=True):
    """Tokens, as a server counts them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Read | None = None

    @property
    def usage(self) -> Usage:
        pictures = (self.input_tokens_details and self.input_tokens_details.image_tokens) or 0
        return Usage(prompt=self.input_tokens or 0, completion=self.output_tokens or 0, pictures=pictures)


class Pictures(Struct, frozen=True):
    """A whole answer, as far as it matters where it goes on as it is."""

    data: list[msgspec.Raw]
    usage: Spent | None = None


class Drawn(Struct, frozen=True):
    """One picture of a whole answer."""

    b64_json: str


class Glance(Struct, frozen=True):
    """An event of a stream, as far as it matters here."""

    type: str = ""
    usage: Spent | None = None
    error: Any = None


read_pictures = reader(Pictures)
read_drawn = reader(Drawn)
glance = msgspec.json.Decoder(Glance).decode


def fields_of(request: ImageRequest) -> dict[str, Any]:
    """The fields of a request but for its model and its files: as its client wrote them, else written anew."""
    if request.form is not None:
        own = {name: msgspec.json.decode(value) for name, value in request.form.fields.items()}
        return {name: value for name, value in own.items() if name != "model"}
    fields: dict[str, Any] = {"n": request.n, "response_format": "b64_json"}
    if request.task != "vary":
        fields["prompt"] = request.prompt
    if request.width is not None and request.height is not None:
        fields["size"] = f"{request.width}x{request.height}"
    if request.transparent:
        fields["background"] = "transparent"
    if request.effort != 1.0:
        fields["quality"] = next((word for least, word in QUALITIES if request.effort >= least), "low")
    more = {
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance,
        "strength": request.strength,
        "negative_prompt": request.negative_prompt or None,
        "seed": request.seed,
    }
    return fields | {name: value for name, value in more.items() if value is not None} | dict(request.extra)


def events_of_pictures(request: ImageRequest, body: bytes) -> Iterator[Event]:
    """What a server answered that was asked for no stream. Raises Unreadable."""
    found = read_pictures(body)
    if request.form is not None:
        yield Relayed(body, 0)
    else:
        for index, item in enumerate(found.data):
            yield Picture(_decoded(read_drawn(bytes(item)).b64_json), index)
    if found.usage is not None or request.form is None:
        yield (found.usage or Spent()).usage


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Unreadable(NOT_UNDERSTOOD) from error


class PictureStream:
    """One stream. `feed` it all that comes.

    `usage` is the last that was told; `finished` counts the pictures that are; `done` says that the end mark or an
    error came, and `error` is what the server told in place of an event.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = 0
        self.done = False
        self.error: bytes | None = None
        self._frames = Frames(LARGEST_EVENT)

    def feed(self, data: bytes) -> bytes:
        """The events that are whole now. Raises Unreadable for what is no event of OpenAI's."""
        return b"".join([self._look(event) for event in self._frames.feed(data)])

    def _look(self, data: bytes) -> bytes:
        """The event as it goes on; nothing where it tells nothing."""
        if self.done or data == END:
            self.done = True
            return b""
        try:
            seen = glance(data)
        except WRONG as error:
            raise Unreadable(NOT_UNDERSTOOD) from error
        if seen.error is not None:
            self.error, self.done = data, True
            return b""
        if TYPE.fullmatch(seen.type) is None:
            raise Unreadable(NOT_UNDERSTOOD)
        if seen.usage is not None:
            self.usage = seen.usage.usage
        self.finished += seen.type.endswith(".completed")
        return b"event: %b\ndata: %b\n\n" % (seen.type.encode(), data)
