"""WAV files of other servers, however they arrive and whatever they tell of their length."""

from __future__ import annotations

import struct

import pytest

from backends.remote.samples import Samples
from backends.remote.unreadable import Unreadable

PCM = bytes(range(200))


def wav(
    pcm: bytes = PCM,
    size: int | None = None,
    *,
    rate: int = 24_000,
    channels: int = 1,
    bits: int = 16,
    coding: int = 1,
    before: bytes = b"",
) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, coding, channels, rate, rate * 2, 2, bits)
    size = len(pcm) if size is None else size
    return b"RIFF\xff\xff\xff\xffWAVE" + before + form + struct.pack("<4sI", b"data", size) + pcm


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 2**30 - 9])
def test_all_samples_whatever_the_head_says(step: int, size: int | None) -> None:
    samples, data = Samples(), wav(size=size)
    pieces = [samples.feed(data[at : at + step]) for at in range(0, len(data), step)]
    assert b"".join(pieces) == PCM
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert samples.rate == 24_000


def test_what_comes_after_the_samples_is_no_sound() -> None:
    samples = Samples()
    assert samples.feed(wav() + b"LIST\x04\0\0\0abcd") + samples.feed(b"more") == PCM


def test_other_chunks_before_them_are_passed_over() -> None:
    assert Samples().feed(wav(before=b"LIST\x03\0\0\0abc\0")) == PCM
    assert Samples().feed(wav(coding=0xFFFE)) == PCM


def test_the_first_of_several_channels() -> None:
    samples, pcm = Samples(), struct.pack("<8h", 1, -1, 2, -2, 3, -3, 4, -4)
    data = wav(pcm, channels=2)
    found = b"".join(samples.feed(data[at : at + 5]) for at in range(0, len(data), 5))
    assert struct.unpack("<4h", found) == (1, 2, 3, 4)


def test_bare_samples() -> None:
    samples = Samples(8_000)
    assert (samples.feed(b"abc"), samples.feed(b"d"), samples.rate) == (b"ab", b"cd", 8_000)


@pytest.mark.parametrize(
    "data",
    [
        b"ID3",
        b"RIFX" + bytes(40),
        b"RIFF\0\0\0\0AVI " + bytes(40),
        wav(bits=8),
        wav(bits=24),
        wav(coding=3),
        wav(channels=0),
        wav(channels=9),
        wav(rate=7_999),
        wav(rate=192_001),
        b"RIFF\0\0\0\0WAVEdata\x08\0\0\0",
        b"RIFF\0\0\0\0WAVELIST\0\0\1\0",
    ],
)
def test_what_is_no_such_file(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Samples().feed(data)
