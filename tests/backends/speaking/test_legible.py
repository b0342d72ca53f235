"""Text as readers of English can take it, and where too much of it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as texts

from backends.speaking.cut import cut
from backends.speaking.legible import LONGEST_WORD, legible


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Hello, world.", "Hello, world."),
        ("Hello 你好 world", "Hello world"),
        ("Привет", " "),
        ("café ﬁne 𝓗i e\u0301", "café fine Hi é"),
        ("٣ apples", "3 apples"),
        ("①② m²", " 1 2 m²"),
        ("İ", "I"),
        ("1,250,000,000,000", "1,250,000,000,000"),
        ("12345678901234.567", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 point 5 6 7"),
        ("[word](/həlO/) and [this](https://a.b)", "[word] (/həlO/) and [this](https://a.b)"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_what_is_read(text: str, read: str) -> None:
    assert legible(text) == read


def test_words_are_of_bounded_length() -> None:
    path = "https://example.com/" + "a/very/long/path/" * 20
    assert max(map(len, legible(path).split())) <= LONGEST_WORD
    assert legible(path).replace(" ", "") == path
    assert legible("x" * 100).split() == ["x" * LONGEST_WORD] * 3 + ["x" * 4]


@given(texts.text(max_size=300))
def test_no_word_is_too_long(text: str) -> None:
    assert all(len(word) <= LONGEST_WORD for word in legible(text).split())


@given(texts.text(alphabet="ab ,.", max_size=200), texts.integers(1, 30))
def test_parts_are_short_and_nothing_is_lost(text: str, longest: int) -> None:
    parts = list(cut(text, longest))
    assert all(len(part) <= longest for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_it_is_cut_where_it_hurts_least() -> None:
    assert list(cut("one two, three four", 12)) == ["one two,", "three four"]
    assert list(cut("one two three", 9)) == ["one two", "three"]
    assert list(cut("onetwothree", 4)) == ["onet", "woth", "ree"]
