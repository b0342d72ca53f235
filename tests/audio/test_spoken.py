"""Sound as it is sent: whole files tell their length, streams play as received, without gaps or clicks."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import wave

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audio
from audio import SPOKEN, encoded, encoder, resampled
from tests.audio.hearing import RATE, crossings, heard, samples, sine, steepest

RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
# What a stream of these may be longer by, in seconds: silence around the sound that their format cannot tell of.
MORE = {"mp3": 0.03, "aac": 0.045}


def streamed(pcm: bytes, rate: int, format: str, sizes: list[int]) -> list[bytes]:
    """What an encoder gives for pieces of these sizes, over and over."""
    sink, given, at, turn = encoder(format, rate), [], 0, 0
    while at < len(pcm):
        size = sizes[turn % len(sizes)]
        given.append(sink.feed(pcm[at : at + size]))
        at, turn = at + size, turn + 1
    return [*given, sink.finish()]


def played(data: bytes, format: str) -> list[int]:
    return list(samples(data) if format == "pcm" else heard(data))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", SPOKEN)
def test_a_stream_plays_as_received(format: str, rate: int) -> None:
    pcm = sine(2.5, rate)
    data = b"".join(streamed(pcm, rate, format, [4801, 1, 30_000, 2]))
    found = samples(data) if format == "pcm" else heard(data)
    assert len(found) / RATE == pytest.approx(2.5, rel=0.02)
    assert len(found) / RATE - 2.5 == pytest.approx(0, abs=MORE.get(format, 0.002))
    assert crossings(found[RATE // 2 : RATE // 2 * 3]) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("format", SPOKEN)
def test_pieces_join_without_clicks(format: str) -> None:
    """The steepest step of a sine of 440 Hz is known; a gap, a repeat or a lost sample makes a steeper one."""
    sizes = random.Random(1).sample(range(2, 9000), 40)
    data = b"".join(streamed(sine(4, RATE), RATE, format, sizes))
    found = samples(data) if format == "pcm" else heard(data)
    middle = found[RATE // 10 : -RATE // 10]
    assert steepest(middle) < steepest(samples(sine(1, RATE))) * 1.15


@pytest.mark.parametrize("format", SPOKEN)
def test_a_stream_is_what_a_whole_file_holds(format: str) -> None:
    pcm = sine(1.5, RATE)
    whole = encoded(pcm, RATE, format)
    stream = b"".join(streamed(pcm, RATE, format, [999]))
    if format in ("pcm", "flac", "wav"):
        find = samples if format == "pcm" else heard
        assert find(whole) == find(stream) == samples(pcm)
    else:
        assert len(stream) == pytest.approx(len(whole), rel=0.1)


@pytest.mark.parametrize("format", SPOKEN)
def test_sound_leaves_soon_after_it_came(format: str) -> None:
    """A stream that is fed a second of sound gives all but the last fifth of it at once."""
    sink = encoder(format, RATE)
    data = sink.feed(sine(1, RATE))
    found = samples(data) if format == "pcm" else heard(data)
    assert len(found) / RATE > 0.8


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_a_whole_file_tells_its_length(format: str) -> None:
    data = encoded(sine(1.25, RATE), RATE, format)
    with av.open(io.BytesIO(data), "r") as file:
        assert file.duration == pytest.approx(1.25 * av.time_base, abs=100)
    assert len(heard(data)) == 1.25 * RATE


@pytest.mark.parametrize("format", ["opus", "aac"])
def test_a_whole_file_is_as_long_as_its_sound(format: str) -> None:
    assert len(heard(encoded(sine(2.5, RATE), RATE, format))) / RATE == pytest.approx(2.5, rel=0.02)


def test_a_streamed_wav_leaves_its_length_open() -> None:
    head = encoder("wav", RATE).feed(b"")
    assert len(head) == 44
    assert (head[:4], head[8:16], head[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
    assert head[4:8] == head[40:44] == b"\xff" * 4
    assert struct.unpack("<HHIIHH", head[20:36]) == (1, 1, RATE, RATE * 2, 2, 16)


def test_the_standard_library_reads_a_whole_wav() -> None:
    with wave.open(io.BytesIO(encoded(sine(0.5, RATE), RATE, "wav"))) as file:
        assert (file.getnframes(), file.getframerate()) == (RATE // 2, RATE)


def test_bare_samples_are_of_the_rate_that_clients_expect() -> None:
    assert encoded(sine(1, 24_000), 24_000, "pcm") == sine(1, 24_000)
    found = samples(encoded(sine(1, 16_000), 16_000, "pcm"))
    assert len(found) == pytest.approx(24_000, abs=2)
    assert crossings(found) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("format", SPOKEN)
def test_nothing_at_all_ends_well(format: str) -> None:
    sink = encoder(format, RATE)
    assert sink.feed(b"") + sink.feed(b"\1") + sink.finish() is not None
    assert isinstance(encoded(b"", RATE, format), bytes)


@pytest.mark.parametrize("format", SPOKEN)
def test_an_encoder_may_be_left(format: str) -> None:
    sink = encoder(format, RATE)
    sink.feed(sine(0.5, RATE))
    del sink


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20), st.sampled_from(sorted(SPOKEN)))
def test_how_it_is_cut_changes_nothing(sizes: list[int], format: str) -> None:
    pcm = sine(0.4, RATE)
    pieces = b"".join(streamed(pcm, RATE, format, sizes))
    assert played(pieces, format) == played(b"".join(streamed(pcm, RATE, format, [len(pcm)])), format)


@pytest.mark.parametrize("rates", [(24_000, 16_000), (16_000, 24_000), (44_100, 16_000), (8_000, 48_000)])
def test_resampling(rates: tuple[int, int]) -> None:
    found = samples(resampled(sine(2, rates[0]), *rates))
    assert len(found) == pytest.approx(2 * rates[1], abs=3)
    assert crossings(found) == pytest.approx(880, abs=2)
    assert resampled(b"\1\2", 16_000, 16_000) == b"\1\2"


def test_importing_costs_nothing() -> None:
    """The packages that encode load when something is encoded."""
    code = "import audio, sys; print([name for name in ('av', 'pydub', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert audio.encoded(b"\0\0", RATE, "wav")
