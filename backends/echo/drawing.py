"""What the echo model draws: a field of one colour, which depends on all that was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import vision
from backends import media
from backends.events import Event, Picture, Progress, Usage
from backends.requests import EFFORTS, ImageRequest

if TYPE_CHECKING:
    from vision import Pixels

SIZES = ((64, 64), (256, 256), (512, 512), (1024, 1024), (1024, 1536), (1536, 1024))
USUAL = (256, 256)
# Of a side of what one token stands for.
TILE = 32
STRENGTH = 0.5
STEPS: Mapping[str, int] = {quality: round(20 * effort) for quality, effort in EFFORTS.items()}
GREY = (128, 128, 128)


async def pictures(request: ImageRequest) -> Iterator[Event]:
    """The events of a request for pictures. Raises BadImage.

    What is edited or varied takes on the colour as far as `strength` says, and only where the mask is transparent.
    """
    images, mask = await media.pictures(request, max(map(max, SIZES)))
    return iter(await vision.soon(_drawn, request, images, mask))


def _drawn(request: ImageRequest, images: list[Pixels], mask: Pixels | None) -> list[Event]:
    first = images[0].size if images else USUAL
    size = (request.width or first[0], request.height or first[1])
    events: list[Event] = [Progress(0.0, "drawing")]
    for index in range(request.n):
        whole = _painted(request, size, images, mask, _colour(request, index))
        for partial in range(request.partial):
            shown = whole.copy()
            shown.paste(GREY, (0, size[1] * (partial + 1) // (request.partial + 1), *size))
            events.append(Picture(vision.png(shown), index, partial))
        events.append(Picture(vision.png(whole), index))
    seen = sum(_tiles(*image.size) for image in images)
    words = len(request.prompt.split()) + len(request.negative_prompt.split())
    return [*events, Usage(prompt=words + seen, completion=request.n * _tiles(*size), pictures=seen)]


def _colour(request: ImageRequest, index: int) -> tuple[int, int, int]:
    """The same for the same request; another one for another seed, or another picture of the same request."""
    said = (request.task, request.prompt, request.negative_prompt, request.extra.get("style"))
    asked = (request.steps or round(STEPS["medium"] * request.effort), request.guidance, (request.seed or 0) + index)
    red, green, blue = hashlib.sha256(repr((said, asked)).encode()).digest()[:3]
    return red, green, blue


def _painted(
    request: ImageRequest,
    size: tuple[int, int],
    images: list[Pixels],
    mask: Pixels | None,
    colour: tuple[int, int, int],
) -> Pixels:
    if not images:
        picture = vision.blank(size, colour)
    else:
        picture = images[0].resize(size)
        for other in images[1:]:
            picture.paste(other.resize(size), mask=vision.blank(size, 128))
        strength = STRENGTH if request.strength is None else request.strength
        changed = vision.blank(size, round(255 * strength))
        if mask is not None:
            changed = mask.resize(size).point(lambda opacity: round((255 - opacity) * strength))
        picture.paste(colour, mask=changed)
    if request.transparent:
        inside = vision.blank(size, 0)
        inside.paste(255, (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
        picture.putalpha(inside)
    return picture


def _tiles(width: int, height: int) -> int:
    return -(-width // TILE) * -(-height // TILE)
