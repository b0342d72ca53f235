"""Sound at another rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio.frames import Framer, plain

if TYPE_CHECKING:
    from av import AudioResampler


class Resampler:
    """16-bit mono PCM of one rate to another, piece by piece; what is at that rate passes as it is.

    Raises ImportError without the package `av`.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._framer = Framer(rate_in)
        self._to: AudioResampler | None = None
        if rate_in != rate_out:
            from av import AudioResampler

            self._to = AudioResampler(format="s16", layout="mono", rate=rate_out)

    def feed(self, pcm: bytes) -> bytes:
        if self._to is None:
            return pcm
        frame = self._framer.frame(pcm)
        return b"" if frame is None else b"".join(map(plain, self._to.resample(frame)))

    def finish(self) -> bytes:
        """The few samples that waited for their neighbours."""
        if self._to is None or not self._framer.samples:
            return b""
        return b"".join(map(plain, self._to.resample(None)))


def resampled(pcm: bytes, rate_in: int, rate_out: int) -> bytes:
    """All of it at once. Raises ImportError as `Resampler` does."""
    resampler = Resampler(rate_in, rate_out)
    return resampler.feed(pcm) + resampler.finish()
