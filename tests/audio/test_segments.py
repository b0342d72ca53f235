"""Clips put together, cut and made louder."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from audio import Clip, cut, joined, louder, normalised, silence
from tests.audio.hearing import RATE, crossings, loudest, samples, sine, steepest

CLIP = Clip(sine(1, RATE), RATE)


def loudness(clip: Clip) -> float:
    """In decibels below full scale."""
    sound = samples(clip.pcm)
    return 20 * math.log10(math.sqrt(sum(each * each for each in sound) / len(sound)) / 32_768)


def test_clips_are_joined_at_the_rate_of_the_first() -> None:
    whole = joined([CLIP, Clip(sine(0.5, 16_000), 16_000), CLIP], pause=0.25)
    assert whole.rate == RATE
    assert whole.seconds == pytest.approx(3.0, abs=0.001)
    assert loudest(samples(cut(whole, 1.0, 1.25).pcm)) == 0
    assert crossings(samples(cut(whole, 1.25, 1.75).pcm)) == pytest.approx(220, abs=2)


def test_a_join_does_not_click() -> None:
    quarter = cut(CLIP, 0.1, 0.1 + 0.25 / 440)  # it ends where the wave is highest
    long = joined([Clip(CLIP.pcm + quarter.pcm, RATE)] * 3)
    assert steepest(samples(long.pcm)) < 1.1 * steepest(samples(CLIP.pcm))


def test_there_must_be_something_to_join() -> None:
    with pytest.raises(ValueError, match="not enough"):
        joined([])
    assert joined([silence(0, RATE)]).pcm == b""


@pytest.mark.parametrize(
    ("start", "end", "seconds"), [(0.25, 0.5, 0.25), (0.9, None, 0.1), (0.5, 9, 0.5), (2, 3, 0), (0, 0, 0)]
)
def test_a_cut_is_true_to_the_sample(start: float, end: float | None, seconds: float) -> None:
    part = cut(CLIP, start, end)
    first = round(start * RATE) * 2
    assert part.seconds == pytest.approx(seconds)
    assert part.pcm == CLIP.pcm[first : first + len(part.pcm)]


def test_gain() -> None:
    assert loudness(louder(CLIP, -6)) == pytest.approx(loudness(CLIP) - 6, abs=0.1)
    assert loudest(samples(louder(CLIP, 60).pcm)) >= 32_767


@pytest.mark.parametrize("loud", [20, 500, 30_000])
def test_everything_becomes_as_loud(loud: int) -> None:
    clip = normalised(Clip(sine(1, RATE, loud=loud), RATE))
    assert loudness(clip) == pytest.approx(-20, abs=0.5)


def test_no_peak_is_cut_off() -> None:
    pcm = sine(0.001, RATE, loud=32_000) + bytes(RATE * 2)
    clip = normalised(Clip(pcm, RATE))
    assert loudest(samples(clip.pcm)) == pytest.approx(32_768 * 10 ** (-1 / 20), rel=0.01)


def test_silence_stays_silence() -> None:
    assert normalised(silence(1, RATE)) == silence(1, RATE)
    assert normalised(silence(0, RATE)) == silence(0, RATE)


def test_pydub_says_nothing_when_it_loads() -> None:
    code = "import audio; audio.louder(audio.silence(1, 8000), 3)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
