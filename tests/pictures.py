"""Pictures to try things with."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from vision import MEDIA_TYPES


def picture(
    kind: str = "PNG", size: tuple[int, int] = (60, 40), colour: Any = "red", mode: str = "RGB", **save: Any
) -> bytes:
    """A picture of one colour."""
    return saved(Image.new(mode, size, colour), kind, **save)


def saved(image: Image.Image, kind: str = "PNG", **save: Any) -> bytes:
    """Any picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def data_url(data: bytes, kind: str = "PNG") -> str:
    """As chats bring it."""
    return f"data:{MEDIA_TYPES[kind]};base64,{base64.b64encode(data).decode()}"
