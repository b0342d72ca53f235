"""Encoding by FFmpeg's libraries (the package `av`): MP3, Opus in Ogg, AAC in ADTS, FLAC."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import av
from msgspec import Struct

from audio import mp3
from audio.frames import Framer
from audio.resample import Resampler

if TYPE_CHECKING:
    from av import AudioFrame

MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
FLAC_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
AAC_DELAY = 1024


class Coding(Struct, frozen=True):
    """FFmpeg's names for a format, and the rates that it has: sound of another is brought to the next higher one.

    `delay`: the samples of silence that come before the sound where nothing in a stream tells decoders how much of it
    the encoder put after the sound, so that packets of nothing else are left away. `options` are the container's.
    """

    container: str
    codec: str
    rates: tuple[int, ...]
    bit_rate: int | None = None
    delay: int | None = None
    options: Mapping[str, str] = {}

    def rate(self, rate: int) -> int:
        return min((each for each in self.rates if each >= rate), default=self.rates[-1])


CODINGS = {
    "mp3": Coding("mp3", "libmp3lame", MPEG_RATES, 96_000, mp3.DELAY, {"id3v2_version": "0"}),
    # A page every tenth of a second: FFmpeg's own pages hold a whole one.
    "opus": Coding("ogg", "libopus", OPUS_RATES, 48_000, None, {"page_duration": "100000"}),
    # ADTS cannot tell of the packet of silence that comes before the sound: at this rate it is the shortest.
    "aac": Coding("adts", "aac", (48_000,), 96_000, AAC_DELAY),
    "flac": Coding("flac", "flac", FLAC_RATES, None, None, {"metadata_header_padding": "0"}),
}


class _Sink:
    """A file that can only be written to: FFmpeg does not come back to write a length."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


class _Writer:
    """PCM of `rate` samples a second into a container that is written to a file object."""

    def __init__(self, coding: Coding, rate: int, file: Any, options: Mapping[str, str], delay: int | None) -> None:
        to = coding.rate(rate)
        self._resampler = Resampler(rate, to)
        self._framer = Framer(to)
        self._delay = delay
        self._packets = 0
        self._file = av.open(file, "w", format=coding.container, options={**coding.options, **options})
        stream = self._file.add_stream(coding.codec, rate=to, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if coding.bit_rate is not None:
            stream.bit_rate = coding.bit_rate
        self._stream = stream
        self._file.start_encoding()

    def feed(self, pcm: bytes) -> None:
        self._frame(self._resampler.feed(pcm))

    def finish(self) -> None:
        self._frame(self._resampler.finish())
        self._encode(None)
        self._file.close()

    def _frame(self, pcm: bytes) -> None:
        frame = self._framer.frame(pcm)
        if frame is not None:
            self._encode(frame)

    def _encode(self, frame: AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if frame is not None or self._needed():
                self._file.mux(packet)
            self._packets += 1

    def _needed(self) -> bool:
        """Whether the next packet, one of the last, holds a part of the sound."""
        if self._delay is None:
            return True
        return self._packets * self._stream.codec_context.frame_size < self._framer.samples + self._delay


class Streamed:
    """An `Encoder`: nothing of what it gave is ever changed."""

    def __init__(self, format: str, rate: int) -> None:
        coding = CODINGS[format]
        self._sink = _Sink()
        self._head = mp3.info_frame(coding.rate(rate)) if format == "mp3" else b""
        # Each packet leaves FFmpeg's buffer at once.
        self._writer = _Writer(coding, rate, self._sink, {"flush_packets": "1"}, coding.delay)

    def feed(self, pcm: bytes) -> bytes:
        self._writer.feed(pcm)
        return self._taken()

    def finish(self) -> bytes:
        self._writer.finish()
        return self._taken()

    def _taken(self) -> bytes:
        head, self._head = self._head, b""
        return head + self._sink.taken()


def whole(pcm: bytes, rate: int, format: str) -> bytes:
    """A file that tells its true length, where the format can."""
    coding = CODINGS[format]
    file = io.BytesIO()
    writer = _Writer(coding, rate, file, {}, coding.delay if format == "aac" else None)
    writer.feed(pcm)
    writer.finish()
    return file.getvalue()
