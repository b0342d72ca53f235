"""What a player makes of encoded sound."""

from __future__ import annotations

import array
import io
import itertools
import math
from collections.abc import Iterable

import av

RATE = 24_000


def sine(seconds: float, rate: int, hertz: float = 440.0, loud: int = 8000) -> bytes:
    """16-bit mono PCM."""
    steps = range(round(seconds * rate))
    return array.array("h", (int(loud * math.sin(math.tau * hertz * step / rate)) for step in steps)).tobytes()


def heard(data: bytes, rate: int = RATE) -> array.array[int]:
    """The samples of a file, by a player that knows nothing of how it was made."""
    pcm = bytearray()
    with av.open(io.BytesIO(data), "r") as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        frames: Iterable[av.AudioFrame | None] = itertools.chain(file.decode(audio=0), [None])
        for frame in frames:
            for each in resampler.resample(frame):
                pcm += bytes(each.planes[0])[: each.samples * 2]
    return samples(bytes(pcm))


def samples(pcm: bytes) -> array.array[int]:
    return array.array("h", pcm)


def steepest(sound: array.array[int]) -> int:
    """The greatest step from a sample to the next: a click is one that the sound itself has nowhere."""
    return max(abs(after - before) for before, after in itertools.pairwise(sound))


def crossings(sound: array.array[int]) -> int:
    """How often the wave goes up through zero."""
    return sum(1 for before, after in itertools.pairwise(sound) if before < 0 <= after)


def loudest(sound: array.array[int]) -> int:
    return max(map(abs, sound), default=0)
