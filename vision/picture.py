"""Reading pictures that nobody vouches for, with Pillow: PNG, JPEG, WebP and the first frame of a GIF.

The format is told by the content and never by a name. Sizes are read from the header before anything is decoded; what
is truncated is refused; of the metadata only the orientation is used, and the decoder never sees it.
"""

from __future__ import annotations

import asyncio
import functools
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from vision.bare import Bare, Malformed, bare

if TYPE_CHECKING:
    from PIL.Image import Image

P = ParamSpec("P")
R = TypeVar("R")
# A decoded picture, as Pillow has it.
Pixels: TypeAlias = "Image"
Fit: TypeAlias = Callable[[tuple[int, int]], tuple[int, int]]

# By Pillow's names: what it may try.
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
KINDS = tuple(MEDIA_TYPES)
WORKERS = max(1, min(4, (os.cpu_count() or 1) - 1))


class BadPicture(ValueError):
    """The picture cannot be read; the message says why in words for whoever sent it."""


class Limits(Struct, frozen=True):
    """How large a picture may be: `pixels` in all, and `side` for its width and its height."""

    pixels: int = 32_000_000
    side: int = 16_000


class Seen(Struct, frozen=True):
    """What a picture's header says; the sides in pixels as they are stored, before it is turned upright.

    `orientation` is EXIF's, 1 to 8. `transparent`: it may have pixels that are.
    """

    media_type: str
    width: int
    height: int
    orientation: int = 1
    transparent: bool = False

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once it is turned."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


@functools.cache
def pillow() -> Any:
    """Pillow's module, imported when the first picture comes."""
    from PIL import Image

    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    return Image


def inspect(data: bytes, limits: Limits, kinds: Sequence[str] = KINDS) -> Seen:
    """Look at the header alone. Raises BadPicture for a format that is none of `kinds`, or too large a picture."""
    opened, orientation = _open(data, lambda wanted: wanted.head, kinds)
    with opened as picture:
        kind = MEDIA_TYPES[str(picture.format)]
        seen = Seen(kind, picture.width, picture.height, orientation, picture.has_transparency_data)
    if max(seen.width, seen.height) > limits.side:
        raise BadPicture(f"it is {seen.width}x{seen.height}; a side may have {limits.side} pixels")
    if seen.width * seen.height > limits.pixels:
        raise BadPicture(f"it is {seen.width}x{seen.height}; it may have {limits.pixels} pixels in all")
    return seen


def load(data: bytes, side: int | None = None, short: int | None = None) -> Image:
    """The whole picture as RGB pixels, upright and over white where it is transparent.

    It is shrunk until no side has more than `side` pixels, and the shorter one no more than `short`. Takes as long as
    decoding takes, and memory for the pixels: look with `inspect` first. Raises BadPicture.
    """
    return _bare_pixels(decoded(data, over_white, lambda size: fitted(size, side, short)))


def fitted(size: tuple[int, int], side: int | None, short: int | None) -> tuple[int, int]:
    """The largest size of the same shape, no larger, whose sides have at most `side` pixels, the shorter `short`."""
    scale = min(1.0, (side or max(size)) / max(size), (short or min(size)) / min(size))
    return size if scale == 1.0 else (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def alpha(data: bytes) -> Image:
    """How opaque each pixel of the upright picture is, 0 to 255, in one channel. Raises BadPicture."""
    return _bare_pixels(decoded(data, lambda picture: picture.convert("RGBA").getchannel("A")))


def decoded(data: bytes, work: Callable[[Image], R], fit: Fit | None = None) -> R:
    """What `work` makes of the upright picture, once it was shrunk as `fit` says. Raises BadPicture."""
    opened, orientation = _open(data, lambda wanted: wanted.whole())
    with opened as picture:
        try:
            size = picture.size if fit is None else fit(picture.size)
            picture.draft(None, size)  # a JPEG may be decoded at a half, a quarter or an eighth of its size
            picture.load()
            return work(_upright(_shrunk(picture, size), orientation))
        except Exception as error:
            raise BadPicture("it is damaged or not complete") from error


def _shrunk(picture: Image, size: tuple[int, int]) -> Image:
    if picture.size == size:
        return picture
    return over_white(picture).resize(size, pillow().Resampling.LANCZOS, reducing_gap=2.0)


def _bare_pixels(picture: Image) -> Image:
    picture.info.clear()
    return picture


async def soon(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """Work on pictures in one of a few threads kept for it."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), functools.partial(work, *args, **named))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="vision")


def _open(data: bytes, part: Callable[[Bare], bytes], kinds: Sequence[str] = KINDS) -> tuple[Image, int]:
    """Reads the header; the picture and its orientation. A decoder may fail on hostile bytes in any way."""
    try:
        wanted = bare(data)
        picture: Image = pillow().open(io.BytesIO(part(wanted)), formats=kinds)
    except Malformed as error:
        raise BadPicture(str(error)) from error
    except (pillow().DecompressionBombError, pillow().DecompressionBombWarning) as error:
        raise BadPicture("it has too many pixels") from error
    except Exception as error:
        *most, last = ["WebP" if kind == "WEBP" else kind for kind in kinds]
        raise BadPicture(f"it is no {', '.join(most)} or {last} that can be read") from error
    return picture, wanted.orientation


def _upright(picture: Image, orientation: int) -> Image:
    """Turned as EXIF's orientation says."""
    turn = pillow().Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    wanted = turns.get(orientation)
    return picture if wanted is None else picture.transpose(wanted)


def over_white(picture: Image) -> Image:
    """RGB; 16 bits a channel become 8."""
    if picture.mode.startswith("I"):
        return picture.point(lambda value: value * (1 / 257)).convert("L").convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    image = pillow()
    layer = picture.convert("RGBA")
    ground: Image = image.new("RGB", layer.size, "white")
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground
