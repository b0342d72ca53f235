"""From the pixels of a request to what the networks take, and from what they paint to a picture of any size.

The networks know premultiplied RGBA [128, 128, 4] from 0 to 1. Around what they paint there is white, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import vision
from backends.emoji.layers import Floats
from backends.emoji.networks import SIDE

if TYPE_CHECKING:
    from vision import Pixels

# How near to white a background is.
WHITE = 0.94
# Pixels are smoothly made more up to this side, and edges drawn together so many times for each doubling.
MOST, SHARPENED = 512, 3
STEEP, FAST = np.float32(12), np.float32(0.35)


def seen(picture: Pixels) -> Floats:
    """As the networks take it: the whole picture, in the middle of a square; a white background is none."""
    width, height = _fitting(picture.size)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    square = np.zeros((SIDE, SIDE, 4), np.float32)
    inside = np.asarray(picture.convert("RGB").resize((width, height)), np.float32) / 255
    opacity = 1 - background(inside)
    square[top : top + height, left : left + width, 3] = opacity
    square[top : top + height, left : left + width, :3] = np.clip(inside - (1 - opacity[..., None]), 0, 1)
    return square


def background(colours: Floats) -> Floats:
    """1.0 where white reaches in from the border, 0.0 elsewhere; [height, width]."""
    white = colours.min(-1) > WHITE
    found = np.zeros_like(white)
    found[[0, -1]], found[:, [0, -1]] = white[[0, -1]], white[:, [0, -1]]
    while True:
        wider = np.pad(found, 1)
        wider = (wider[1:-1, 1:-1] | wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]) & white
        if (wider == found).all():
            near: Floats = found.astype(np.float32)
            return near
        found = wider


def free(mask: Pixels) -> Floats:
    """A mask of the picture's size (0 where that may change) -> [128, 128], 1.0 where it may."""
    width, height = _fitting(mask.size)
    square = vision.blank((SIDE, SIDE), 255)
    square.paste(mask.resize((width, height)), ((SIDE - width) // 2, (SIDE - height) // 2))
    return 1 - np.asarray(square, np.float32) / 255


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def finished(painted: Floats, size: tuple[int, int], *, filled: bool, transparent: bool) -> Pixels:
    """A picture of that width and height. The painted square is as large as fits into it, or covers it if `filled`."""
    side = max(size) if filled else min(size)
    square = straight(enlarged(painted, side), side)
    whole = vision.unpacked(bytes(size[0] * size[1] * 4), size, "RGBA")
    whole.paste(square, ((size[0] - side) // 2, (size[1] - side) // 2))
    return whole if transparent else vision.over_white(whole)


def enlarged(painted: Floats, side: int) -> Floats:
    """By two, again and again, and edges drawn together; stops where the rest is left to `straight`."""
    if side <= SIDE:
        return painted
    # What is left of the painter's four by four pattern would be enlarged too.
    painted, times = blurred(painted), 0
    while painted.shape[0] < min(side, MOST):
        painted, times = doubled(painted), times + 1
    for _ in range(SHARPENED * times):
        painted = sharpened(painted, times)
    return painted


def doubled(picture: Floats) -> Floats:
    """Twice as many pixels each way, smoothly."""
    for axis in (0, 1):
        before, after = beside(picture, axis)
        both = np.stack([0.25 * before + 0.75 * picture, 0.75 * picture + 0.25 * after], axis + 1)
        picture = both.reshape(*picture.shape[:axis], -1, *picture.shape[axis + 1 :])
    return picture


def beside(picture: Floats, axis: int) -> tuple[Floats, Floats]:
    """Each pixel's neighbours on both sides; the border goes on."""
    first, last = np.take(picture, [0], axis), np.take(picture, [-1], axis)
    before = np.concatenate([first, np.take(picture, range(picture.shape[axis] - 1), axis)], axis)
    return before, np.concatenate([np.take(picture, range(1, picture.shape[axis]), axis), last], axis)


def blurred(picture: Floats) -> Floats:
    for axis in (0, 1):
        before, after = beside(picture, axis)
        picture = (before + after) * np.float32(0.25) + picture * np.float32(0.5)
    return picture


def sharpened(picture: Floats, calm: int) -> Floats:
    """Each pixel goes towards the side of the edge that it lies on, as the blurred picture has it: a shock filter
    (Alvarez and Mazorra, 1994). All channels go together, so that no colour comes apart.
    """
    bend = picture.sum(-1, keepdims=True)
    for _ in range(2 * calm):
        bend = blurred(bend)
    bend = sum(beside(bend, 0)) + sum(beside(bend, 1)) - 4 * bend
    up, down = (each - picture for each in beside(picture, 0))
    left, right = (each - picture for each in beside(picture, 1))
    rise = np.hypot(np.maximum(up, down).clip(0), np.maximum(left, right).clip(0))
    fall = np.hypot(np.minimum(up, down).clip(None, 0), np.minimum(left, right).clip(None, 0))
    amount = np.clip(np.abs(bend) * STEEP, 0, FAST)
    moved: Floats = np.where(bend < 0, picture + amount * rise, picture - amount * fall)
    return moved


def straight(premultiplied: Floats, side: int) -> Pixels:
    """An RGBA picture of that side."""
    opacity = premultiplied[..., 3:]
    colours = np.where(opacity > 1 / 512, premultiplied[..., :3] / np.maximum(opacity, 1 / 512), 1)
    found = (np.concatenate([colours, opacity], -1).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return vision.unpacked(found.tobytes(), (found.shape[1], found.shape[0]), "RGBA").resize((side, side))


def kept(drawn: Pixels, own: Pixels, mask: Pixels) -> Pixels:
    """The drawn picture where the mask is 0, one's own where it is 255."""
    whole = own.convert(drawn.mode)
    whole.paste(drawn, mask=mask.point(lambda opacity: 255 - opacity))
    return whole
