"""Sound that nobody vouches for: what is read, how it comes out, and what is refused."""

from __future__ import annotations

import array
import asyncio
import contextlib
import io
import itertools
import sys
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

import audio
from audio import BadSound, Clip, TooLong
from backends import apart
from tests.sounds import encoded, tone

FORMATS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "m4a": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
}
SOUND = tone(2.0, 44_100, 2)


def crossings(clip: Clip) -> int:
    """How often the wave goes up through zero."""
    samples = array.array("h", clip.pcm)
    return sum(1 for before, after in itertools.pairwise(samples) if before < 0 <= after)


def test_every_format_has_a_test() -> None:
    assert FORMATS.keys() == audio.FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_told_by_its_content_and_heard(name: str) -> None:
    data = encoded(SOUND, *FORMATS[name])
    assert audio.sniff(data) == name
    clip = audio.load(data, 60)
    assert clip.rate == 16_000
    assert clip.seconds == pytest.approx(2.0, rel=0.05)
    assert crossings(clip) == pytest.approx(880, rel=0.05)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [12, 40])
def test_a_mere_beginning_is_refused(name: str, size: int) -> None:
    with pytest.raises(BadSound):
        audio.load(encoded(SOUND, *FORMATS[name])[:size], 60)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD/>",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"PK\x03\x04" + bytes(100),
        b"[playlist]\nFile1=http://localhost/\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(1000),
    ],
)
def test_what_is_no_sound_never_reaches_a_demuxer(data: bytes) -> None:
    assert audio.sniff(data) is None
    with pytest.raises(BadSound, match="none of"):
        audio.load(data, 60)


@pytest.mark.parametrize(
    "head", [b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"ID3", b"\0\0\0\x20ftypM4A "]
)
def test_a_playlist_behind_a_true_head_is_refused(head: bytes) -> None:
    with pytest.raises(BadSound):
        audio.load(head + b"#EXTM3U\nfile:///etc/passwd\n" * 50, 60)


@pytest.mark.parametrize(("rate", "channels", "fits"), [(8_000, 1, True), (7_999, 1, False), (192_000, 8, True)])
def test_rates(rate: int, channels: int, fits: bool) -> None:
    data = tone(0.2, rate, channels)
    if fits:
        assert audio.load(data, 60).seconds == pytest.approx(0.2, abs=0.01)
    else:
        with pytest.raises(BadSound, match=str(rate)):
            audio.load(data, 60)


def test_channels() -> None:
    with pytest.raises(BadSound, match="9 channels"):
        audio.load(tone(0.1, 16_000, 9), 60)


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_that_is_too_long_is_refused(name: str) -> None:
    data = encoded(SOUND, *FORMATS[name])
    assert audio.load(data, 2.2).pcm
    with pytest.raises(TooLong, match=r"1\.5"):
        audio.load(data, 1.5)


def test_hours_of_silence_cost_little() -> None:
    """The head says nothing of its length, so that it is read up to the limit, piece by piece."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(8000 * 2 * 600))
    data = bytearray(encoded(file.getvalue(), "flac", "flac", 8000))
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO: the number of samples is not known
    assert len(data) < 300_000
    read: list[int] = []
    with pytest.raises(TooLong):
        read.extend(sys.getsizeof(piece) for piece in audio.pieces(bytes(data), 100))
    assert max(read) < 600_000
    assert 1_000_000 < sum(read) < 100 * 16_000 * 2 + 10_000


def test_a_head_that_lies_about_the_length_is_not_believed() -> None:
    data = bytearray(tone(1.0))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert audio.load(bytes(data), 60).seconds == pytest.approx(1.0)


def test_no_samples_at_all() -> None:
    with pytest.raises(BadSound, match="no sound"):
        audio.load(tone(0.0), 60)


def test_a_film_without_sound_is_refused() -> None:
    with pytest.raises(BadSound):
        audio.load(b"\0\0\0\x20ftypisom" + bytes(200), 60)


def test_pieces_are_the_whole() -> None:
    data = encoded(tone(12.0), "flac", "flac")

    async def gathered() -> list[bytes]:
        return [piece async for piece in apart.pieces_soon(data, 60)]

    pieces = asyncio.run(gathered())
    assert len(pieces) == 3
    assert b"".join(pieces) == audio.load(data, 60).pcm


@given(st.binary(max_size=100), st.integers(0, 2000), st.sampled_from(sorted(FORMATS)))
def test_damage_is_refused_or_harmless(noise: bytes, at: int, name: str) -> None:
    data = WHOLE[name]
    at = min(at, len(data))
    with contextlib.suppress(BadSound):
        assert audio.load(data[:at] + noise + data[at + len(noise) :], 5).seconds <= 5


WHOLE = {name: encoded(tone(0.3), *how) for name, how in FORMATS.items()}


def test_a_clip_becomes_a_file() -> None:
    clip = Clip(bytes(3200), 16_000)
    assert clip.seconds == 0.1
    assert audio.load(audio.wav(clip), 1) == clip
