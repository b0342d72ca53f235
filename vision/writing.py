"""Pixels and PNGs -> files as clients want them: PNG, JPEG or WebP, with Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from vision.picture import Limits, decoded, inspect, over_white, pillow

if TYPE_CHECKING:
    from PIL.Image import Image

# What can be written, and its media type.
FORMATS: Mapping[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
# More than any model draws.
LARGEST = Limits()


class Written(Struct, frozen=True):
    """A picture as a file: its sides in pixels, and whether it may have transparent ones."""

    data: bytes
    width: int
    height: int
    transparent: bool


def blank(size: tuple[int, int], colour: tuple[int, int, int] | int = 0) -> Image:
    """A picture of one colour; of one channel where `colour` is a number from 0 to 255."""
    picture: Image = pillow().new("L" if isinstance(colour, int) else "RGB", size, colour)
    return picture


def unpacked(data: bytes | bytearray, size: tuple[int, int], mode: str = "RGB") -> Image:
    """The picture of raw bytes, row by row without padding: three a pixel, four in mode RGBA, one in mode L."""
    picture: Image = pillow().frombytes(mode, size, data)
    return picture


def png(picture: Image) -> bytes:
    """As engines give pictures."""
    return _saved(picture, "PNG", compress_level=1)


def written(data: bytes, kind: str = "png", quality: int = 100, *, opaque: bool = False) -> Written:
    """A picture (a PNG as engines give it) in one of `FORMATS`; `quality` is from 0 to 100, for the other two.

    `opaque` lays it over white, as JPEG has to be. What need not change is not decoded. Takes as long as encoding
    takes: call it by `soon`. Raises BadPicture.
    """
    seen = inspect(data, LARGEST)
    opaque = seen.transparent and (opaque or kind == "jpeg")
    if seen.media_type != FORMATS[kind] or opaque:
        data = decoded(data, lambda picture: _encoded(over_white(picture) if opaque else picture, kind, quality))
    return Written(data, *seen.upright, seen.transparent and not opaque)


def _encoded(picture: Image, kind: str, quality: int) -> bytes:
    if kind == "png":
        return png(picture)
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return _saved(picture, kind.upper(), quality=quality)


def _saved(picture: Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
