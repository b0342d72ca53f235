"""The colours that a picture is mostly made of, by their plain names."""

from __future__ import annotations

import numpy as np
from PIL import Image

NAMES = {
    "white": (255, 255, 255),
    "light grey": (205, 205, 205),
    "grey": (128, 128, 128),
    "dark grey": (70, 70, 70),
    "black": (10, 10, 10),
    "red": (210, 30, 30),
    "dark red": (120, 20, 20),
    "orange": (240, 140, 30),
    "brown": (120, 75, 40),
    "beige": (230, 215, 185),
    "yellow": (245, 225, 50),
    "green": (40, 160, 60),
    "dark green": (20, 80, 35),
    "light green": (160, 225, 150),
    "turquoise": (50, 190, 190),
    "blue": (40, 90, 210),
    "dark blue": (20, 35, 100),
    "light blue": (150, 200, 240),
    "purple": (130, 60, 170),
    "pink": (245, 160, 190),
}
# Points that are looked at, each way: single ones, as a mean of several would be another colour.
SIDE = 96
MOST = 4
LEAST = 0.02


def colours(picture: Image.Image) -> tuple[tuple[str, float], ...]:
    """Names and shares, the largest first."""
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST), np.int32).reshape(-1, 1, 3)
    known = np.array(list(NAMES.values()), np.int32)[None]
    # The eye sees green better than red and blue.
    nearest = (((small - known) ** 2) * np.array([2, 4, 3])).sum(axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(NAMES)) / len(nearest)
    order = counts.argsort()[::-1][:MOST]
    names = list(NAMES)
    return tuple((names[at], round(float(counts[at]), 2)) for at in order if counts[at] >= LEAST)
