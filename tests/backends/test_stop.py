"""Stop strings: what goes out does not depend on the chunks, and nothing of a stop string goes out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backends.stop import StopMatcher

LETTERS = st.text(alphabet="ab😀", max_size=24)
STOPS = st.lists(st.text(alphabet="ab😀", min_size=1, max_size=5), min_size=1, max_size=4).map(tuple)


def said(stops: tuple[str, ...], pieces: Iterable[str]) -> tuple[str, bool]:
    """What a client sees of these pieces, and whether a stop string ended it."""
    matcher = StopMatcher(stops)
    out = ""
    for piece in pieces:
        text, matched = matcher.feed(piece)
        out += text
        if matched:
            return out, True
    return out + matcher.flush(), False


def split(text: str, cuts: Iterable[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[first:last] for first, last in itertools.pairwise(places)]


@given(STOPS, LETTERS, st.lists(st.integers(min_value=0, max_value=24)))
@example(("abc", "b"), "abx", [1, 2])
@example(("aab",), "aaab", [1, 2, 3])
def test_the_text_ends_before_the_first_stop_string_whatever_the_chunks(
    stops: tuple[str, ...], text: str, cuts: list[int]
) -> None:
    ends = [at for at in map(text.find, stops) if at >= 0]
    expected = text[: min(ends)] if ends else text
    assert said(stops, split(text, cuts))[0] == expected
    assert said(stops, text)[0] == expected


@given(STOPS, LETTERS)
def test_what_cannot_begin_a_stop_string_is_not_held(stops: tuple[str, ...], text: str) -> None:
    matcher = StopMatcher(stops)
    out = ""
    for character in text:
        piece, matched = matcher.feed(character)
        out += piece
        if matched:
            return
    held = text[len(out) :]
    assert len(held) < max(map(len, stops)) or any(stop in held for stop in stops)
    assert matcher.flush() in (held, *(held[: held.find(stop)] for stop in stops))


@pytest.mark.parametrize(
    ("stops", "pieces", "out", "matched"),
    [
        (("END",), ["hello E", "N", "D of"], "hello ", True),
        (("END",), ["hello E", "N"], "hello EN", False),
        (("\n\n",), ["a\n", "b\n", "\nc"], "a\nb", True),
        (("b", "ab"), ["xab"], "x", True),
        (("👩‍💻",), ["hi 👩", "‍💻!"], "hi ", True),
    ],
)
def test_examples(stops: tuple[str, ...], pieces: list[str], out: str, matched: bool) -> None:
    assert said(stops, pieces) == (out, matched)
