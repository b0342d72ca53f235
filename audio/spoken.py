"""Sound as it is sent to whoever asked for speech: encoded while it is made, or as a whole file."""

from __future__ import annotations

from typing import Protocol

from audio.clip import Clip
from audio.resample import Resampler
from audio.wav import open_header, wav

# What speech is sent as -> its media type, as OpenAI names it; Opus comes in Ogg and AAC in ADTS.
SPOKEN = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# Bare samples tell nobody their rate: this is the one that OpenAI's clients take them for.
PCM_RATE = 24_000


class Encoder(Protocol):
    """Takes 16-bit little-endian mono PCM in pieces of any size; what it returns is one file, in order."""

    def feed(self, pcm: bytes) -> bytes:
        """What can be sent now; up to a tenth of a second stays behind."""

    def finish(self) -> bytes:
        """The rest. Nothing may be fed after it."""


class _Wav:
    """A header that leaves the length open, then the samples."""

    def __init__(self, rate: int) -> None:
        self._head = open_header(rate)

    def feed(self, pcm: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + pcm

    def finish(self) -> bytes:
        return self.feed(b"")


def encoder(format: str, rate: int) -> Encoder:
    """For sound of `rate` samples a second; `format` is one of `SPOKEN`.

    Milliseconds of work for a second of sound. Raises ImportError without the package `av`, which wav and the pcm of
    24,000 samples a second do without.
    """
    if format == "wav":
        return _Wav(rate)
    if format == "pcm":
        return Resampler(rate, PCM_RATE)
    from audio.encode import Streamed

    return Streamed(format, rate)


def encoded(pcm: bytes, rate: int, format: str) -> bytes:
    """A whole file whose header tells its true length. Raises ImportError as `encoder` does."""
    if format == "wav":
        return wav(Clip(pcm, rate))
    if format == "pcm":
        sink = encoder(format, rate)
        return sink.feed(pcm) + sink.finish()
    from audio.encode import whole

    return whole(pcm, rate, format)
