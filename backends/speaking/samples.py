"""Numbers of an engine <-> 16-bit PCM. Needs numpy: imported when an engine loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy

HIGHEST = 32767
# Fainter than this is silence, and no click where it is cut.
FAINT = 0.01
# Seconds of silence that stay before and after what is said; a voice that speaks faster rests less.
BEFORE, AFTER = 0.05, 0.3


def pcm(samples: Any) -> bytes:
    """Floats from -1 to 1 as 16-bit little-endian PCM; what is louder is cut off."""
    return bytes((numpy.clip(samples, -1.0, 1.0) * HIGHEST).astype("<i2").tobytes())


def trimmed(samples: Any, rate: int, speed: float) -> Any:
    """The same with at most BEFORE and AFTER of silence around it."""
    samples = numpy.ravel(samples)
    loud = numpy.flatnonzero(numpy.abs(samples) > FAINT)
    if not len(loud):
        return samples
    begin = max(0, loud[0] - round(BEFORE * rate / speed))
    return samples[begin : loud[-1] + round(AFTER * rate / speed)]


def numbers(values: Any, kind: str) -> Any:
    """An array as engines take them."""
    return numpy.asarray(values, dtype=kind)


def styles_of(file: BinaryIO) -> Mapping[str, Any]:
    """The vectors of each voice of an .npz file, which holds nothing but numbers."""
    with numpy.load(file, allow_pickle=False) as found:
        return {name: numpy.asarray(found[name], dtype="float32") for name in found.files}
