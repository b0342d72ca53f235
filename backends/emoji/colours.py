"""A picture in another colour: its main hue is turned to the one that is asked for."""

from __future__ import annotations

import numpy as np

from backends.emoji.layers import Floats

# Where each lies on the circle of hues, in degrees, and what becomes of saturation and value: factor and addend.
TARGETS = {
    "red": (2, 1.1, 0.0, 0.92, 0.0),
    "orange": (30, 1.15, 0.0, 1.0, 0.05),
    "yellow": (50, 1.0, 0.0, 1.0, 0.1),
    "green": (125, 0.9, 0.0, 0.8, 0.0),
    "turquoise": (178, 0.9, 0.0, 0.9, 0.0),
    "blue": (216, 1.0, 0.0, 0.95, 0.0),
    "purple": (275, 0.85, 0.0, 0.85, 0.0),
    "pink": (335, 0.55, 0.0, 1.0, 0.1),
    "brown": (22, 0.85, 0.0, 0.55, 0.0),
    "black": (220, 0.1, 0.0, 0.28, 0.0),
    "white": (220, 0.04, 0.0, 0.2, 0.78),
    "grey": (210, 0.05, 0.0, 0.75, 0.0),
}
# How much of what is not transparent must have one hue for that to be turned, in training and of a drawing; of what has
# less, all is coloured, so strongly.
ENOUGH, MOST, STRONG = 0.12, 0.3, 0.75
NEAR = 38.0


def hsv(colour: Floats) -> tuple[Floats, Floats, Floats]:
    """Hue in degrees, saturation and value of [..., 3] from 0 to 1."""
    high, low = colour.max(-1), colour.min(-1)
    spread = np.where(high > low, high - low, 1)
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]
    hue = np.where(high == red, (green - blue) / spread, np.where(high == green, (blue - red) / spread + 2, 0))
    hue = np.where((high == blue) & (high != red) & (high != green), (red - green) / spread + 4, hue)
    return (hue * 60) % 360, np.where(high > 0, (high - low) / np.where(high > 0, high, 1), 0), high


def rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    place = (np.array([5.0, 3.0, 1.0], np.float32) + hue[..., None] / 60) % 6
    wave = np.clip(np.minimum(place, 4 - place), 0, 1)
    found: Floats = value[..., None] * (1 - saturation[..., None] * wave)
    return found


def apart(hue: Floats, other: float) -> Floats:
    """The way from `other` to `hue` on the circle, -180 to 180."""
    return (hue - other + 180) % 360 - 180


def main_hue(picture: Floats) -> tuple[float, float, Floats]:
    """The hue that most of a premultiplied picture has, its share of what is not transparent, and where it is."""
    opacity = picture[..., 3]
    hue, saturation, value = hsv(picture[..., :3] / np.maximum(opacity, 1e-3)[..., None])
    weight = opacity * (saturation > 0.25) * (value > 0.15)
    heights, _ = np.histogram(hue, bins=36, range=(0, 360), weights=weight)
    wide = heights + np.roll(heights, 1) + np.roll(heights, -1)
    middle = float(wide.argmax() * 10 + 5)
    near = weight * (np.abs(apart(hue, middle)) < NEAR)
    middle += float((apart(hue, middle) * near).sum() / max(float(near.sum()), 1e-3))
    return middle % 360, float(near.sum() / max(float(opacity.sum()), 1e-3)), near


def recoloured(picture: Floats, target: str) -> Floats | None:
    """What has the main hue, in the target's colour; None for a picture without one."""
    middle, share, near = main_hue(picture)
    return None if share < ENOUGH else _turned(picture, target, middle, near)


def coloured(picture: Floats, target: str) -> Floats:
    """What has the main hue, in the target's colour; all of a picture in which no hue is so much."""
    middle, share, near = main_hue(picture)
    if share < MOST:
        return _turned(picture, target, None, picture[..., 3])
    return _turned(picture, target, middle, near)


def _turned(picture: Floats, target: str, middle: float | None, where: Floats) -> Floats:
    """Where a hue is near the middle, or all `where` it is None."""
    hue, factor, addend, bright, lift = TARGETS[target]
    opacity = picture[..., 3:]
    straight = picture[..., :3] / np.maximum(opacity, 1e-3)
    own, saturation, value = hsv(straight)
    if middle is None:
        turned, saturation = np.full_like(own, hue), np.full_like(saturation, STRONG)
    else:
        turned = (hue + 0.45 * apart(own, middle)) % 360
    new = rgb(turned, np.clip(saturation * factor + addend, 0, 1), np.clip(value * bright + lift, 0, 1))
    mixed = straight + (new - straight) * np.minimum(where / np.maximum(opacity[..., 0], 1e-3), 1)[..., None]
    found: Floats = np.concatenate([mixed.clip(0, 1) * opacity, opacity], -1).astype(np.float32)
    return found
