"""Faster and slower, at the same pitch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import Clip, Stretcher, stretched
from tests.audio.hearing import RATE, crossings, samples, sine, steepest

SPEEDS = (0.25, 0.5, 0.9, 1.0, 1.1, 2.0, 2.5, 4.0)


@pytest.mark.parametrize("rate", [16_000, 24_000])
@pytest.mark.parametrize("speed", SPEEDS)
def test_a_speed_changes_the_length_and_nothing_else(speed: float, rate: int) -> None:
    pcm = sine(3, rate)
    clip = stretched(Clip(pcm, rate), speed)
    assert clip.seconds == pytest.approx(3 / speed, rel=0.03)
    found = samples(clip.pcm)
    assert crossings(found) / clip.seconds == pytest.approx(440, rel=0.01)
    assert steepest(found) < steepest(samples(pcm)) * 1.1


@pytest.mark.parametrize("speed", [0.249, 4.01, 0.0, -1.0, float("nan"), float("inf")])
def test_other_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=r"0\.25 to 4"):
        Stretcher(RATE, speed)


def test_the_speed_of_the_voice_is_not_touched() -> None:
    assert stretched(Clip(b"\1\2\3", RATE), 1.0).pcm == b"\1\2\3"


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("pcm", [b"", b"\1", bytes(2), bytes(200)])
def test_next_to_nothing(pcm: bytes, speed: float) -> None:
    assert len(stretched(Clip(pcm, RATE), speed).pcm) <= len(pcm) / speed + 400


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=10), st.sampled_from(SPEEDS))
def test_how_it_is_cut_changes_nothing(sizes: list[int], speed: float) -> None:
    pcm = sine(0.5, RATE)
    stretcher = Stretcher(RATE, speed)
    out, at = b"", 0
    for size in [*sizes, len(pcm)]:
        out += stretcher.feed(pcm[at : at + size])
        at += size
    assert out + stretcher.finish() == stretched(Clip(pcm, RATE), speed).pcm


def test_a_stream_comes_as_it_is_made() -> None:
    stretcher = Stretcher(RATE, 2.0)
    given = [len(stretcher.feed(sine(0.5, RATE))) for _ in range(10)]
    assert all(given[1:])
    assert sum(given) / 2 / RATE > 2.2
