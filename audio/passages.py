"""A long stream of sound in passages, cut at pauses: what transcribes hears no more at once.

Silence between passages is left away, so that hours of it cost nothing. Loudness is the root mean square of 20 ms, on
the scale of 16-bit samples; every fourth of them tells it well enough, in a quarter of a millisecond for a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import mul

from msgspec import Struct

from audio.clip import WIDTH

FRAMES_A_SECOND = 50
LONGEST, PAUSE = 30.0, 0.5
# -70 decibels below full scale, less than the noise of any microphone: there is no word in it.
SILENT = 10.0
# What is this much louder than the quietest of late is no pause, nor what is louder than -35 decibels.
ABOVE_FLOOR, LOUDEST_PAUSE = 4.0, 580.0
# How fast the quietest of late is forgotten, by frame: it doubles in seven seconds.
FORGETTING = 1.002
# Of silence, in seconds: what a passage keeps at its ends, and what ends it however short it is.
KEPT, LONG_SILENCE = 0.2, 2.0
EVERY = 4
# A passage without a pause is cut after the shortest, where so many frames are quietest.
PLACE = 10


class Passage(Struct, frozen=True):
    """16-bit mono PCM, and when it begins and ends in the whole, in seconds."""

    pcm: bytes
    start: float
    end: float


class Passages:
    """Takes 16-bit mono PCM of `rate` samples a second in pieces of any size; holds no more than one passage of it.

    A passage has at most `longest` seconds. It ends at the first `pause` of so many seconds after `shortest` (half of
    `longest` unless given), or in `silence` of so many seconds, of which it has `kept` around it.
    """

    def __init__(
        self,
        rate: int,
        longest: float = LONGEST,
        shortest: float | None = None,
        pause: float = PAUSE,
        silence: float = LONG_SILENCE,
        kept: float = KEPT,
    ) -> None:
        self._rate = rate
        self._width = rate // FRAMES_A_SECOND * WIDTH
        self._longest = max(1, round(longest * FRAMES_A_SECOND))
        self._shortest = self._longest // 2 if shortest is None else round(shortest * FRAMES_A_SECOND)
        self._pause = max(1, round(pause * FRAMES_A_SECOND))
        self._silence = max(1, round(silence * FRAMES_A_SECOND))
        self._kept = round(kept * FRAMES_A_SECOND)
        self._rest = b""
        self._held = bytearray()
        self._levels: list[float] = []
        self._begun = 0  # the frame of the whole that the held ones begin with
        self._sounding = False
        self._quiet = 0  # frames at the end that are quiet, and those that are silent
        self._silent = 0
        self._floor = LOUDEST_PAUSE

    @property
    def heard(self) -> float:
        """How many seconds of the whole need no more work: passages that ended, and silence."""
        return self._begun * self._width / (WIDTH * self._rate)

    def feed(self, pcm: bytes) -> Iterator[Passage]:
        """The passages that end with it, which must be taken before more is fed."""
        data = self._rest + pcm
        whole = len(data) // self._width * self._width
        self._rest = data[whole:]
        for place, level in enumerate(self._loudness(data[:whole])):
            self._held += data[place * self._width : (place + 1) * self._width]
            yield from self._heard(level)

    def finish(self) -> Iterator[Passage]:
        """The last one, if there is anything to hear in it."""
        padding = -len(self._rest) % self._width
        yield from self.feed(bytes(padding))
        if self._sounding:
            end = len(self._levels) - max(0, self._silent - self._kept)
            more = padding // WIDTH * WIDTH if end == len(self._levels) else 0
            yield self._passage(end * self._width - more)
            self._drop(len(self._levels))

    def _loudness(self, pcm: bytes) -> Iterator[float]:
        samples, size = memoryview(pcm).cast("h"), self._width // WIDTH
        for first in range(0, len(samples), size):
            some = samples[first : first + size : EVERY].tolist()
            yield math.sqrt(sum(map(mul, some, some)) / len(some))

    def _heard(self, level: float) -> Iterator[Passage]:
        """One more frame of the passage that is held; with it one may end."""
        self._floor = max(1.0, min(level, self._floor * FORGETTING))
        quiet = max(SILENT, min(LOUDEST_PAUSE, ABOVE_FLOOR * self._floor))
        self._levels.append(level)
        self._quiet = self._quiet + 1 if level < quiet else 0
        self._silent = self._silent + 1 if level < SILENT else 0
        self._sounding = self._sounding or not self._silent
        frames = len(self._levels)
        if not self._sounding:
            self._drop(frames - self._kept)
        elif self._silent >= self._silence:
            yield from self._cut(frames - self._kept)
        elif self._pause <= self._quiet < frames and frames - self._quiet // 2 >= self._shortest:
            yield from self._cut(frames - self._quiet // 2)
        elif frames >= self._longest:
            yield from self._cut(self._quietest())

    def _cut(self, place: int) -> Iterator[Passage]:
        """Ends the passage there, or a little after the last of it that is heard."""
        heard = len(self._levels) - self._silent
        yield self._passage(min(place, heard + self._kept) * self._width)
        self._drop(place)

    def _quietest(self) -> int:
        first = min(self._shortest, self._longest - PLACE)
        sums = [sum(self._levels[at : at + PLACE]) for at in range(max(0, first), self._longest - PLACE)]
        if not sums:
            return self._longest
        return max(0, first) + min(range(len(sums)), key=lambda at: (sums[at], -at)) + PLACE // 2

    def _passage(self, size: int) -> Passage:
        first, second = self._begun * self._width, WIDTH * self._rate
        return Passage(bytes(self._held[:size]), first / second, (first + size) / second)

    def _drop(self, frames: int) -> None:
        """Forgets so many of the frames that are held."""
        if frames <= 0:
            return
        del self._held[: frames * self._width], self._levels[:frames]
        self._begun += frames
        self._quiet = min(self._quiet, len(self._levels))
        self._silent = min(self._silent, len(self._levels))
        self._sounding = any(level >= SILENT for level in self._levels)
