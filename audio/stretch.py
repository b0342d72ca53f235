"""Faster or slower speech at the same pitch, by FFmpeg's filter `atempo` (WSOLA)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from audio.clip import Clip
from audio.frames import Framer, plain

if TYPE_CHECKING:
    from av.filter import Graph

SLOWEST, FASTEST = 0.25, 4.0
# One filter takes this much and no more: beyond it skips parts of the sound where it should blend them.
LEAST, MOST = 0.5, 2.0
AT_ONCE = 1024


class Stretcher:
    """16-bit mono PCM of `rate` samples a second, `speed` times as fast, piece by piece.

    Raises ValueError for a speed out of 0.25 to 4, ImportError without the package `av`; a speed of 1 needs it not.
    """

    def __init__(self, rate: int, speed: float) -> None:
        if not SLOWEST <= speed <= FASTEST:
            raise ValueError(f"speed must be {SLOWEST:g} to {FASTEST:g}, not {speed:g}")
        self._framer = Framer(rate)
        self._graph = None if speed == 1 else _graph(rate, speed)

    def feed(self, pcm: bytes) -> bytes:
        """What is ready; a tenth of a second or two stays behind."""
        if self._graph is None:
            return pcm
        frame = self._framer.frame(pcm)
        if frame is None:
            return b""
        self._graph.push(frame)
        return b"".join(self._ready())

    def finish(self) -> bytes:
        """The rest. Nothing may be fed after it."""
        if self._graph is None or not self._framer.samples:
            return b""
        self._graph.push(None)
        return b"".join(self._ready())

    def _ready(self) -> Iterator[bytes]:
        import av

        assert self._graph is not None
        with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                frame = self._graph.pull()
                assert isinstance(frame, av.AudioFrame)
                yield plain(frame)


def stretched(clip: Clip, speed: float) -> Clip:
    """All of it at once. Raises as `Stretcher` does."""
    stretcher = Stretcher(clip.rate, speed)
    return Clip(stretcher.feed(clip.pcm) + stretcher.finish(), clip.rate)


def _graph(rate: int, speed: float) -> Graph:
    from av.filter import Graph

    graph = Graph()
    steps = 1 if LEAST <= speed <= MOST else 2
    chain = [
        graph.add_abuffer(format="s16", sample_rate=rate, layout="mono"),
        # What the filter makes of its very beginning depends on how much comes with it.
        graph.add("asetnsamples", f"nb_out_samples={AT_ONCE}:pad=0"),
        *(graph.add("atempo", f"{speed ** (1 / steps):.9f}") for _ in range(steps)),
        graph.add("aformat", "sample_fmts=s16"),
        graph.add("abuffersink"),
    ]
    for before, after in pairwise(chain):
        before.link_to(after)
    graph.configure()
    return graph
