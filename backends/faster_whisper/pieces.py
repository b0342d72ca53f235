"""Long sound in pieces, so that memory is bounded: cut where it is quietest, and what is silent throughout is told.

A piece is long, since the engine hears 30 s at once whatever it is given, and every cut costs a part of that.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy
from msgspec import Struct

from audio import RATE, WIDTH

PIECE_SECONDS = 300.0
# The end of a piece is looked for in its last seconds.
CUT_SECONDS = 20.0
FRAME = RATE // 10
# Sixty-six decibels below the loudest: less than the noise of any microphone.
SILENT = 16.0


class Piece(Struct, frozen=True):
    """16-bit mono PCM of `audio.RATE` samples a second, and when it begins, in seconds."""

    pcm: bytes
    begin: float
    silent: bool

    @property
    def end(self) -> float:
        """When it ends."""
        return self.begin + len(self.pcm) / WIDTH / RATE


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
    levels = _levels(pcm)
    return Piece(pcm, begin / RATE, float(levels.max()) < SILENT)


def _quietest(pcm: bytes) -> int:
    """The middle of the quietest tenth of a second near the end, in samples."""
    frames = len(pcm) // WIDTH // FRAME
    searched = min(frames // 2, math.ceil(CUT_SECONDS * RATE / FRAME))
    levels = _levels(pcm)[-searched:]
    # Of equally quiet places the last one.
    place = frames - 1 - int(levels[::-1].argmin())
    return place * FRAME + FRAME // 2


def _levels(pcm: bytes) -> numpy.ndarray[tuple[int], numpy.dtype[numpy.float32]]:
    """How loud each tenth of a second is (root mean square); sound that is shorter counts as one."""
    samples = numpy.frombuffer(pcm, dtype="<i2").astype(numpy.float32)
    frames = max(1, len(samples) // FRAME)
    rows = samples[: frames * FRAME].reshape(frames, -1)
    levels: numpy.ndarray[tuple[int], numpy.dtype[numpy.float32]] = numpy.sqrt((rows**2).mean(axis=1))
    return levels
