"""Drawn pictures, and what to compare them with."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openai
from PIL import Image

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

# Training pictures at 16x16 over white, side by side (Noto Color Emoji: see `backends/emoji/weights`).
THUMBNAILS = Path(__file__).parent / "thumbnails.png"
SUBJECTS = (
    *("red apple", "banana", "pizza", "sunflower", "Christmas tree", "snowman", "rocket", "crescent moon"),
    *("robot", "guitar", "house with garden", "sailboat", "smiling face with sunglasses", "red heart", "umbrella"),
    *("castle", "butterfly", "birthday cake", "elephant", "dog face", "automobile", "hot beverage", "dragon", "star"),
)


def opened(item: Any) -> Image.Image:
    """The picture of an item, or of an event."""
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json, validate=True)))


def drawn(client: openai.OpenAI, prompt: str, **fields: Any) -> Image.Image:
    """One picture, 64x64 and of seed 1 unless the fields say otherwise."""
    more = {"seed": 1, **fields.pop("extra_body", {})}
    answer = client.images.generate(model="emoji", prompt=prompt, **{"size": "64x64", **fields}, extra_body=more)
    assert answer.data is not None
    return opened(answer.data[0])


def pixels(picture: Image.Image) -> Floats:
    return np.asarray(picture.convert("RGB"), np.float32)


def colour(picture: Image.Image) -> Floats:
    """The mean of what is not nearly white: red, green and blue."""
    flat = pixels(picture).reshape(-1, 3)
    found: Floats = flat[flat.min(1) < 200].mean(0)
    return found


def nearest(picture: Image.Image) -> str:
    """Which training picture of all the thumbnails it is most like."""
    with Image.open(THUMBNAILS) as opened_thumbnails:
        strip = pixels(opened_thumbnails)
    own = pixels(picture.resize((16, 16), Image.Resampling.BOX))
    tiles = np.split(strip, len(SUBJECTS), axis=1)
    return SUBJECTS[int(np.argmin([np.square(tile - own).sum() for tile in tiles]))]
