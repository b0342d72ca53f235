"""Long sound in pieces, so that memory is bounded: cut where it is quietest, and without what is silent around it.

A piece is long, since the engine hears 30 s at once whatever it is given, and every cut costs a part of that.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

import numpy
from msgspec import Struct

from audio import RATE, WIDTH

Levels: TypeAlias = numpy.ndarray[tuple[int], numpy.dtype[numpy.int32]]

PIECE_SECONDS = 300.0
# The end of a piece is looked for in its last seconds.
CUT_SECONDS = 20.0
FRAME = RATE // 10
# Sixty decibels below the widest swing of 16 bits: less than the noise of any microphone.
SILENT = 65
# So much of it is left: the model was taught with some before and after what is said.
MARGIN = RATE


class Piece(Struct, frozen=True):
    """Some of a sound from `begin` to `end`, in seconds.

    `pcm` is 16-bit mono, `audio.RATE` samples a second, and begins at `start`: without the silence before and after
    it, and empty if there is nothing else.
    """

    pcm: bytes
    start: float
    begin: float
    end: float


async def cut(sound: AsyncGenerator[bytes, None], longest: float = PIECE_SECONDS) -> AsyncGenerator[Piece, None]:
    """The same sound in pieces of at most `longest` seconds. Closes what it is given."""
    most = int(longest * RATE)
    held = bytearray()
    begin = 0
    async with aclosing(sound) as pieces:
        async for piece in pieces:
            held += piece
            while len(held) > most * WIDTH:
                end = _quietest(bytes(held[: most * WIDTH]))
                yield _piece(bytes(held[: end * WIDTH]), begin)
                del held[: end * WIDTH]
                begin += end
    if held:
        yield _piece(bytes(held), begin)


def _piece(pcm: bytes, begin: int) -> Piece:
    samples = len(pcm) // WIDTH
    loud = (_levels(pcm) >= SILENT).nonzero()[0]
    first, last = (int(loud[0]) * FRAME - MARGIN, int(loud[-1] + 1) * FRAME + MARGIN) if loud.size else (0, 0)
    start, end = max(0, first), min(samples, last)
    heard = pcm if (start, end) == (0, samples) else pcm[start * WIDTH : end * WIDTH]
    return Piece(heard, (begin + start) / RATE, begin / RATE, (begin + samples) / RATE)


def _quietest(pcm: bytes) -> int:
    """The middle of the quietest tenth of a second near the end, in samples."""
    frames = len(pcm) // WIDTH // FRAME
    searched = min(frames // 2, math.ceil(CUT_SECONDS * RATE / FRAME))
    levels = _levels(pcm)[-searched:]
    # Of equally quiet places the last one.
    place = frames - 1 - int(levels[::-1].argmin())
    return place * FRAME + FRAME // 2


def _levels(pcm: bytes) -> Levels:
    """How far each tenth of a second swings; sound that is shorter counts as one."""
    samples = numpy.frombuffer(pcm, dtype="<i2")
    frames = max(1, len(samples) // FRAME)
    rows = samples[: frames * FRAME].reshape(frames, -1)
    levels: Levels = rows.max(axis=1).astype(numpy.int32) - rows.min(axis=1)
    return levels
