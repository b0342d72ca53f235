"""The words of a picture: where they are, which way is up, and what they are. Runs in a process of its own.

Models: PP-OCRv4 (https://github.com/PaddlePaddle/PaddleOCR, Apache-2.0), as RapidOCR packs them for ONNX. Both take
blue before red.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from PIL import Image

from backends.looking.regions import Array, Box, boxes
from backends.looking.shapes import Line, Reading

DETECTOR, RECOGNISER = "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"
# Pixels of the shorter and of the longer side when words are looked for; both are multiples of 32 then.
SHORT, LONG = 544, 1440
STEP = 32
HEIGHT = 48
NARROWEST = 320
BATCH = 6
# Lines of one picture that are read; those whose words the reader guesses are left out.
MOST_LINES = 200
SUREST = 4
LEAST = 0.5
SPACE = 0.02

Canceled = Callable[[], bool]


class Abandoned(Exception):
    """Nobody waits for the reading any more."""


class Reader:
    """Both models, loaded from a folder. Raises what onnxruntime raises."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # sizes differ from picture to picture, and it keeps memory for each
        options.log_severity_level = 4
        made = [
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in (DETECTOR, RECOGNISER)
        ]
        self._detector, self._recogniser = made
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"]
        self._characters = ["", *characters.splitlines(), " "]

    def read(self, picture: Image.Image, canceled: Canceled) -> Reading:
        """Raises Abandoned once `canceled` says so."""
        found = self._find(picture)
        turned = 0
        tall = sum(box.height for box in found if box.tall)
        if tall > sum(box.width for box in found if not box.tall):
            picture, found, turned = picture.transpose(Image.Transpose.ROTATE_90), _turned(found, picture.width), 90
        found.sort(key=lambda box: box.width, reverse=True)
        read, unread = found[:MOST_LINES], len(found[MOST_LINES:])
        sharp = _Sharp(picture)
        if self._is_upside_down(sharp, read[:SUREST], canceled):
            picture, turned = picture.transpose(Image.Transpose.ROTATE_180), turned + 180
            sharp, read = _Sharp(picture), [_flipped(box, picture.size) for box in read]
        words = self._words([sharp.strip(box) for box in read], canceled)
        slope = float(np.median([box.slope for box in read])) if read else 0.0
        lines = tuple(
            _line(text, score, box, slope, picture.size)
            for box, (text, score) in zip(read, words, strict=True)
            if score >= LEAST and text.strip()
        )
        return Reading(lines, turned, unread=unread)

    def _find(self, picture: Image.Image) -> list[Box]:
        size = _searched(picture.size)
        small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float32)
        given = _normal(small[None])
        likely = self._run(self._detector, given)[0, 0]
        return boxes(likely, (picture.width / size[0], picture.height / size[1]))

    def _is_upside_down(self, sharp: _Sharp, found: Sequence[Box], canceled: Canceled) -> bool:
        """By which way the longest lines are read more surely."""
        strips = [sharp.strip(box) for box in found]
        if not strips:
            return False
        up = self._words(strips, canceled)
        down = self._words([strip[::-1, ::-1] for strip in strips], canceled)
        return sum(score * len(text) for text, score in down) > sum(score * len(text) for text, score in up)

    def _words(self, strips: Sequence[Array], canceled: Canceled) -> list[tuple[str, float]]:
        """What each strip of `HEIGHT` rows says, and how sure that is."""
        found: list[tuple[str, float]] = [("", 0.0)] * len(strips)
        order = sorted(range(len(strips)), key=lambda at: strips[at].shape[1])
        for start in range(0, len(order), BATCH):
            if canceled():
                raise Abandoned
            batch = order[start : start + BATCH]
            width = max(NARROWEST, math.ceil(max(strips[at].shape[1] for at in batch) / STEP) * STEP)
            given = np.full((len(batch), HEIGHT, width, 3), 127.5, np.float32)
            for row, at in enumerate(batch):
                given[row, :, : strips[at].shape[1]] = strips[at]
            for at, chances in zip(batch, self._run(self._recogniser, _normal(given)), strict=True):
                found[at] = self._text(chances)
        return found

    def _text(self, chances: Array) -> tuple[str, float]:
        """The likeliest characters, each once for its run of steps (steps x characters)."""
        best = chances.argmax(axis=1)
        kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        if not kept.any():
            return "", 0.0
        steps = np.nonzero(kept)[0]
        # It is shy of spaces: where it thinks of one at all, there is one.
        spaces = np.maximum.reduceat(chances[:, -1], steps) > SPACE
        characters = [self._characters[index] for index in best[steps].tolist()]
        text = "".join(
            one + " " * (spaced and " " not in (one, other))
            for one, other, spaced in zip(characters, [*characters[1:], " "], spaces.tolist(), strict=True)
        )
        return text, float(chances.max(axis=1)[kept].mean())

    def _run(self, session: Any, given: Array) -> Array:
        made: Array = session.run(None, {session.get_inputs()[0].name: given})[0]
        return made


class _Sharp:
    """A picture at several sizes, so that what is cut out of it is shrunk well."""

    def __init__(self, picture: Image.Image) -> None:
        self._sizes = [picture]

    def strip(self, box: Box) -> Array:
        """What is in a box, level and `HEIGHT` pixels high, RGB."""
        half = int(math.log2(max(1.0, box.height / HEIGHT)))
        while len(self._sizes) <= half:
            self._sizes.append(self._sizes[-1].reduce(2))
        source, shrunk = self._sizes[half], 2.0**half
        width = max(8, round(box.width * HEIGHT / box.height))
        step = box.height / HEIGHT / shrunk
        c, s = math.cos(box.slope) * step, math.sin(box.slope) * step
        x = box.x / shrunk - c * width / 2 + s * HEIGHT / 2
        y = box.y / shrunk - s * width / 2 - c * HEIGHT / 2
        cut = source.transform(
            (width, HEIGHT), Image.Transform.AFFINE, (c, -s, x, s, c, y), Image.Resampling.BICUBIC, fillcolor=None
        )
        return np.asarray(cut)


def _normal(pictures: Array) -> Array:
    """Pictures of RGB bytes, one after the other -> what both models take."""
    return np.ascontiguousarray(((pictures[..., ::-1] - 127.5) / 127.5).transpose(0, 3, 1, 2), np.float32)


def _searched(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(max(1.0, SHORT / min(size)), LONG / max(size))
    width, height = (max(STEP, round(side * scale / STEP) * STEP) for side in size)
    return width, height


def _turned(found: list[Box], width: int) -> list[Box]:
    """The boxes of a picture `width` pixels wide that was turned by 90 degrees counterclockwise."""
    return [Box(box.y, width - box.x, box.height, box.width, box.slope) for box in found]


def _flipped(box: Box, size: tuple[int, int]) -> Box:
    return Box(size[0] - box.x, size[1] - box.y, box.width, box.height, box.slope)


def _line(text: str, score: float, box: Box, slope: float, size: tuple[int, int]) -> Line:
    """Where it would stand if the whole picture were level."""
    width, height = size
    c, s = math.cos(slope), math.sin(slope)
    x, y = box.x - width / 2, box.y - height / 2
    across, down = c * x + s * y + width / 2, c * y - s * x + height / 2
    return Line(
        text=text,
        left=(across - box.width / 2) / width,
        top=(down - box.height / 2) / height,
        right=(across + box.width / 2) / width,
        bottom=(down + box.height / 2) / height,
        score=round(score, 3),
    )
