"""A long stream in passages: cut at pauses, never too long, nothing that sounds lost, silence for nothing."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio import Passage, Passages
from tests.audio.hearing import sine

RATE = 16_000


def sound(seconds: float) -> bytes:
    return sine(seconds, RATE)


def silence(seconds: float) -> bytes:
    return bytes(round(seconds * RATE) * 2)


def hiss(seconds: float, loud: int) -> bytes:
    noise = random.Random(1)
    return b"".join(noise.randint(-loud, loud).to_bytes(2, "little", signed=True) for _ in range(round(seconds * RATE)))


def cut(pcm: bytes, size: int = 50_000, longest: float = 30, shortest: float | None = None) -> list[Passage]:
    passages = Passages(RATE, longest, shortest)
    found: list[Passage] = []
    for at in range(0, len(pcm), size):
        found += passages.feed(pcm[at : at + size])
    return [*found, *passages.finish()]


def test_a_passage_ends_at_a_pause() -> None:
    found = cut(sound(3) + silence(1) + sound(3) + silence(1) + sound(1.234), longest=5, shortest=1)
    assert [round(each.start, 1) for each in found] == [0, 3.8, 7.8]
    assert [round(each.end, 2) for each in found] == [3.2, 7.2, 9.23]


def test_short_sentences_stay_together() -> None:
    assert len(cut((sound(3) + silence(1)) * 3, shortest=10)) == 1
    assert len(cut((sound(3) + silence(1)) * 3, shortest=1)) == 3


def test_long_silence_ends_the_shortest_passage_and_is_left_away() -> None:
    found = cut(sound(1) + silence(60) + sound(1))
    assert [(round(each.start, 1), round(each.end, 1)) for each in found] == [(0, 1.2), (60.8, 62)]


def test_a_speaker_without_a_pause_is_cut_where_it_is_quietest() -> None:
    found = cut(sound(20) + silence(0.12) + sound(20))
    assert [(round(each.start, 1), round(each.end, 1)) for each in found] == [(0, 20.1), (20.1, 40.1)]
    assert all(each.end - each.start <= 30 for each in cut(sound(100)))


@pytest.mark.parametrize(("loud", "number"), [(100, 3), (3000, 1)])
def test_a_pause_may_hiss_but_not_be_loud(loud: int, number: int) -> None:
    assert len(cut((sound(3) + hiss(1, loud)) * 3, shortest=1)) >= number
    assert (len(cut((sound(3) + hiss(1, loud)) * 3, shortest=1)) > 1) == (number > 1)


def test_how_much_silence_ends_a_passage_and_stays_around_it() -> None:
    pcm = silence(45) + sound(4) + silence(8) + sound(4) + silence(46)
    passages = Passages(RATE, 300, 280, silence=10, kept=1)
    found = list(passages.feed(pcm))
    assert [(round(each.start, 1), round(each.end, 1)) for each in found] == [(44, 62)]
    assert 105 < passages.heard <= 107
    assert list(passages.finish()) == []


def test_noise_of_one_step_is_silence_and_a_whisper_is_not() -> None:
    assert cut(b"\1\0\xff\xff" * RATE) == []
    assert cut(b"\x40\0\xc0\xff" * RATE)


def test_nothing_to_hear() -> None:
    assert cut(silence(20)) == cut(b"") == cut(b"\1") == []


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=5),
    st.integers(999, 99_999),
    st.integers(5, 40),
)
def test_all_that_sounds_is_there_where_it_was(parts: list[tuple[int, int]], size: int, longest: int) -> None:
    pcm = b"".join(sound(loud / 10) + silence(still / 10) for loud, still in parts)
    found = cut(pcm, size, longest / 10)
    assert found == cut(pcm, 32_000, longest / 10)
    whole = bytearray(len(pcm))
    before = 0.0
    for each in found:
        first = round(each.start * RATE) * 2
        assert before <= each.start < each.end <= len(pcm) / 2 / RATE + 1e-9
        assert each.end - each.start == pytest.approx(len(each.pcm) / 2 / RATE)
        assert each.end - each.start <= longest / 10 + 1e-9
        whole[first : first + len(each.pcm)] = each.pcm
        before = each.end
    assert whole == pcm


def test_rates_that_20_milliseconds_do_not_divide() -> None:
    passages = Passages(11_025, 5)
    pcm = sine(60, 11_025)
    found = [*passages.feed(pcm), *passages.finish()]
    assert b"".join(each.pcm for each in found) == pcm
    assert found[-1].end == pytest.approx(60)


def test_a_long_time_of_silence_is_held_nowhere() -> None:
    passages, piece = Passages(RATE), silence(5)
    list(passages.feed(piece))
    tracemalloc.start()
    try:
        for _ in range(200):
            assert list(passages.feed(piece)) == []
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert most < 2_000_000
