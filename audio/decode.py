"""Reading sound by FFmpeg's libraries in this process (the package `av`). A client's is read by `backends.apart`.

The container is told by the content, and FFmpeg is told which demuxer and which decoders it may use: playlists, other
protocols and pictures never reach one. Sound is read piece by piece and no further than the limit, as ten hours of
silence are a hundred kilobytes of FLAC.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

from audio.clip import WIDTH, Clip

# The formats by name, and FFmpeg's demuxer of each.
FORMATS = {"wav": "wav", "mp3": "mp3", "flac": "flac", "ogg": "ogg", "m4a": "mov", "webm": "matroska"}
DECODERS = ",".join(
    [
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"),
        *("mp3", "mp3float", "flac", "vorbis", "opus", "libopus", "aac", "alac", "adpcm_ms", "adpcm_ima_wav"),
    ]
)
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 8_000, 192_000, 8
RATE = 16_000
PIECE_SECONDS = 5


class BadSound(ValueError):
    """The sound cannot be read; the message says why in words for whoever sent it."""


class TooLong(BadSound):
    """The sound is longer than allowed."""


def sniff(data: bytes) -> str | None:
    """The name of the container's format, by its first bytes; None for what is not read here."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "m4a"
    for mark, name in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "webm"), (b"ID3", "mp3")):
        if head.startswith(mark):
            return name
    # MPEG audio: eleven bits set, then a version and a layer that exist.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06:
        return "mp3"
    return None


def told(data: bytes) -> str:
    """The same, but raises BadSound for what is not read here."""
    name = sniff(data)
    if name is None:
        raise BadSound(f"it is none of {', '.join(FORMATS)}")
    return name


def load(data: bytes, longest: float, rate: int = RATE) -> Clip:
    """All of it, at most `longest` seconds. Raises BadSound, TooLong or ImportError as `pieces` does."""
    return Clip(b"".join(pieces(data, longest, rate)), rate)


def pieces(
    data: bytes, longest: float, rate: int = RATE, claimed: Callable[[float], None] = lambda _: None
) -> Generator[bytes, None, None]:
    """16-bit mono PCM of `rate` samples a second, some seconds at a time.

    `claimed` is told before the first how many seconds there are by the file's head, which may be wrong: good for
    telling how far work has come, and for nothing else; nothing where the head does not tell.

    Raises BadSound, TooLong once there are more than `longest` seconds, or ImportError without the package `av`.
    """
    av: Any = importlib.import_module("av")
    name = told(data)
    least, most, done = PIECE_SECONDS * rate * WIDTH, longest * rate * WIDTH, 0
    held = bytearray()
    try:
        for samples in _samples(av, data, FORMATS[name], longest, rate, claimed):
            held += samples
            done += len(samples)
            if done > most:
                raise _too_long(longest)
            if len(held) >= least:
                yield bytes(held)
                held.clear()
    except (av.FFmpegError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, BadSound):
            raise
        raise BadSound("it is damaged or in a coding that is not read here") from error
    if not done:
        raise BadSound("there is no sound in it")
    if held:
        yield bytes(held)


def _too_long(longest: float) -> TooLong:
    return TooLong(f"it is longer than {longest:g} seconds")


def _samples(
    av: Any, data: bytes, demuxer: str, longest: float, rate: int, claimed: Callable[[float], None]
) -> Iterator[bytes]:
    options = {"codec_whitelist": DECODERS, "protocol_whitelist": "pipe"}
    with closing(av.open(io.BytesIO(data), format=demuxer, options=options, metadata_errors="ignore")) as container:
        if not container.streams.audio:
            raise BadSound("there is no sound in it")
        stream = container.streams.audio[0]
        _check(stream.codec_context)
        seconds = (container.duration or 0) / av.time_base
        if seconds > longest:
            raise _too_long(longest)
        if seconds > 0:
            claimed(seconds)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        for packet in container.demux(stream):
            for frame in packet.decode():
                yield from map(_plain, resampler.resample(frame))
        yield from map(_plain, resampler.resample(None))


def _check(coding: Any) -> None:
    if coding is None:
        raise BadSound("it is in a coding that is not read here")
    if not LOWEST_RATE <= coding.sample_rate <= HIGHEST_RATE:
        raise BadSound(f"its sample rate is {coding.sample_rate}, not {LOWEST_RATE} to {HIGHEST_RATE}")
    if not 1 <= coding.channels <= MOST_CHANNELS:
        raise BadSound(f"it has {coding.channels} channels; at most {MOST_CHANNELS} are read")


def _plain(frame: Any) -> bytes:
    """A frame's samples without what pads its buffer."""
    return bytes(frame.planes[0])[: frame.samples * WIDTH]
