"""The times that a Whisper-type model says, without one."""

from __future__ import annotations

from typing import Any

import pytest

from backends.errors import Refused, Unsupported
from backends.requests import Audio, TranscriptionRequest
from backends.vllm.speech import Speech

ZERO = 1000
MARKS = {"startoftranscript": 900, "startofprev": 901, "transcribe": 902, "notimestamps": 904, "0.00": ZERO}
SPEECH = Speech(
    rate=16_000,
    window=480_000,
    overlap=16_000,
    quiet=1600,
    marks=MARKS,
    languages={"en": 910, "de": 911},
    unspaced=frozenset({"ja"}),
    special=frozenset({900, 901, 902, 904, 910, 911, 999}),
    encode=lambda text: [len(word) for word in text.split()],
    decode=lambda tokens: " ".join(map(str, tokens)),
    context=20,
)


def asks(**more: Any) -> TranscriptionRequest:
    return TranscriptionRequest(model="m", audio=Audio(b"", "wav", 1.0), **more)


def at(seconds: float) -> int:
    return ZERO + round(seconds / 0.02)


def times(*said: int, begin: float = 0.0, end: float = 30.0) -> list[tuple[float, float, str]]:
    found = SPEECH.segments([(token, -0.5) for token in said], begin, end, "en")
    return [(segment.start, segment.end, segment.text) for segment in found]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([], []),
        ([1, 2, at(2.0), at(2.5), 3, at(4.0), 999], [(0, 2.0, "1 2"), (2.5, 4.0, "3")]),
        ([at(0.5), 1, at(2.0)], [(0.5, 2.0, "1")]),
        ([1, 2, 3], [(0, 30.0, "1 2 3")]),
        ([1, at(2.0), 2], [(0, 2.0, "1"), (2.0, 30.0, "2")]),
        ([at(1.0), at(2.0), at(3.0), 999], []),
        ([at(5.0), 1, at(2.0), 2, at(6.0)], [(5.0, 5.0, "1"), (5.0, 6.0, "2")]),
        ([1, at(29.0), 2, at(30.0)], [(0, 29.0, "1"), (29.0, 30.0, "2")]),
    ],
)
def test_segments(said: list[int], found: list[tuple[float, float, str]]) -> None:
    assert times(*said) == found


def test_a_later_window_begins_later_and_nothing_is_after_the_end() -> None:
    assert times(1, at(2.0), 2, at(9.0), begin=28.5, end=33.0) == [(28.5, 30.5, "1"), (30.5, 33.0, "2")]


def test_a_segment_has_the_mean_of_its_words() -> None:
    (segment,) = SPEECH.segments([(1, -1.0), (2, -0.5), (at(1.0), -9.0)], 0.0, 30.0, "de")
    assert (segment.tokens, segment.logprob, segment.language) == ((1, 2), -0.75, "de")


def test_what_the_decoder_continues() -> None:
    assert SPEECH.opening(asks(), "en") == [900, 910, 902, 904]
    assert SPEECH.opening(asks(timestamps=("segment",)), "de") == [900, 911, 902, ZERO]
    assert SPEECH.opening(asks(prompt=" a bb "), "en") == [901, 1, 2, 900, 910, 902, 904]
    long = SPEECH.opening(asks(prompt="word " * 1000), "en")
    assert len(long) == 1 + 9 + 4


def test_what_it_cannot() -> None:
    SPEECH.check(asks(language="de"))
    with pytest.raises(Refused, match="de, en"):
        SPEECH.check(asks(language="fr"))
    with pytest.raises(Unsupported):
        SPEECH.check(asks(task="translate"))
