"""How often the engine writes a window down that leads it nowhere."""

from __future__ import annotations

import random

import numpy
import pytest

from audio import load
from backends.faster_whisper.engine import Gone, Hearing, Nothing, Stepping
from tests.recordings import BECKETT, recording

pytestmark = pytest.mark.engine


class Asked:
    """Who asked, and how often it was told that work goes on."""

    def __init__(self) -> None:
        self.gone = False
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1


class Network:
    def __init__(self) -> None:
        self.tries = 0

    def encode(self) -> None: ...

    def generate(self) -> list[str]:
        self.tries += 1
        return ["words"]


def written(samples: object) -> tuple[list[object], Asked]:
    """What comes of two windows, tried three times each."""
    asked, network = Asked(), Network()
    hearing = Hearing(asked, samples)  # type: ignore[arg-type]
    stepping = Stepping(network, lambda: hearing)
    answers: list[object] = []
    for _ in range(2):
        stepping.encode()
        answers += [stepping.generate()[0] for _ in range(3)]
    return answers, asked


def test_speech_is_guessed_at() -> None:
    samples = numpy.frombuffer(load(recording(BECKETT).read_bytes(), 60).pcm, "<i2").astype("float32") / 32768
    for quiet in (1, 1000):
        answers, asked = written(samples / quiet)
        assert answers == ["words"] * 6
        assert asked.beats == 8


def test_noise_is_tried_once_a_window() -> None:
    draw = random.Random(1)
    answers, asked = written(numpy.array([draw.uniform(-0.2, 0.2) for _ in range(48_000)], "float32"))
    assert [isinstance(answer, Nothing) for answer in answers] == [False, True, True] * 2
    assert asked.beats == 8


def test_whoever_is_gone_ends_it_at_the_next_try() -> None:
    asked = Asked()
    hearing = Hearing(asked, numpy.zeros(16_000, "float32"))  # type: ignore[arg-type]
    stepping = Stepping(Network(), lambda: hearing)
    stepping.generate()
    asked.gone = True
    with pytest.raises(Gone):
        stepping.generate()
