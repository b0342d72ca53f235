"""PCM in pieces of any size as frames of FFmpeg's libraries, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio.clip import WIDTH

if TYPE_CHECKING:
    from av import AudioFrame


class Framer:
    """Cuts PCM into frames. A sample that a piece breaks off in waits for its other byte."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._rest = b""
        self.samples = 0

    def frame(self, pcm: bytes) -> AudioFrame | None:
        """A frame of all whole samples so far; None if there are none."""
        from av import AudioFrame

        pcm = self._rest + pcm
        whole = len(pcm) // WIDTH * WIDTH
        self._rest = pcm[whole:]
        if not whole:
            return None
        frame = AudioFrame(format="s16", layout="mono", samples=whole // WIDTH)
        frame.planes[0].update(pcm[:whole])
        frame.sample_rate = self._rate
        frame.pts = self.samples
        self.samples += frame.samples
        return frame


def plain(frame: AudioFrame) -> bytes:
    """A frame's samples without what pads its buffer."""
    return bytes(frame.planes[0])[: frame.samples * WIDTH]
