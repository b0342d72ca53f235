"""The pictures and sounds of a request, decoded when an engine is about to need them. What is damaged is refused.

Sounds may lack the package they are decoded with, which is an extra.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import audio
import vision
from audio import Clip
from backends import apart
from backends.apart import Made, Shown
from backends.errors import BadAudio, BadImage, Overloaded, Unsupported
from backends.requests import Audio, Image, ImageRequest, Message, Part, Text

if TYPE_CHECKING:
    from vision import Pixels

# A part as an engine can use it; None for text.
Decoded: TypeAlias = "Shown | Clip | None"


async def decoded(conversation: Sequence[Message], made: Made = "pixels") -> dict[int, list[Decoded]]:
    """For each message that is more than words, by its place: its parts decoded, all at once.

    `made` is what to make of pictures. Raises BadImage, BadAudio or Unsupported.
    """
    places = [place for place, message in enumerate(conversation) if not message.plain]
    rows = await asyncio.gather(*(_parts(conversation[place], f"messages.{place}", made) for place in places))
    return dict(zip(places, rows, strict=True))


async def _parts(message: Message, path: str, made: Made) -> list[Decoded]:
    parts = enumerate(message.parts)
    return list(await asyncio.gather(*(_part(part, f"{path}.content.{place}", made) for place, part in parts)))


async def _part(part: Part, param: str, made: Made) -> Decoded:
    match part:
        case Text():
            return None
        case Image():
            return await shown(part, param, made)
        case Audio():
            return Clip(b"".join([piece async for piece in sound(part, param)]), audio.RATE)


async def shown(image: Image, param: str, made: Made = "pixels", side: int | None = None) -> Shown:
    """A picture as its request wants it shrunk, and to `side` pixels at most. Raises BadImage."""
    sides = [each for each in (image.side, side) if each is not None]
    with refusing(param):
        return await apart.shown_soon(image.data, made, min(sides, default=None), image.short_side)


async def pictures(request: ImageRequest, side: int | None = None) -> tuple[list[Pixels], Pixels | None]:
    """The pictures to edit or to vary, upright, and how opaque the mask is: 0 where the first one may change.

    Pictures are shrunk until no side has more than `side` pixels, the mask is not. Raises BadImage.
    """
    images = await asyncio.gather(*(shown(each, "image", side=side) for each in request.images))
    found = [await asyncio.to_thread(image.pixels) for image in images]
    if request.mask is None:
        return found, None
    mask = await shown(request.mask, "mask", "alpha")
    return found, await asyncio.to_thread(mask.pixels, "L")


async def sound(
    part: Audio, param: str, claimed: Callable[[float], None] = lambda _: None
) -> AsyncGenerator[bytes, None]:
    """16-bit mono PCM of `audio.RATE` samples a second, some seconds at a time.

    `claimed` is told before the first how many seconds there are by the file's head, if that tells.
    Raises BadAudio or Unsupported.
    """
    with refusing(param):
        async for piece in apart.pieces_soon(part.data, part.longest, claimed=claimed):
            yield piece


@contextmanager
def refusing(param: str) -> Iterator[None]:
    """Around everything that decodes; `param` names the part."""
    try:
        yield
    except vision.BadPicture as error:
        raise BadImage(f"{param} is a picture that cannot be read: {error}.", param=param) from error
    except apart.NoDecoder as error:
        raise Overloaded(str(error)) from error
    except audio.BadSound as error:
        raise BadAudio(f"{param} is a sound that cannot be read: {error}.", param=param) from error
    except ImportError as error:
        raise Unsupported("This server was installed without its extra 'audio'.", param=param) from error
