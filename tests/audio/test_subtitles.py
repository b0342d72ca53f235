"""Subtitles: times, numbers, lines that can be read, and nothing that a player would take for something else."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.subtitles import srt, vtt

LINES = [(0.0, 1.5, " Hello"), (59.9996, 3661.25, "two\n\nlines ---> <b>&")]
LONG = "The quick brown fox jumps over the lazy dog and runs away from all of those who would like to see it sit still."
CUE = re.compile(r"(\d{2,}):(\d\d):(\d\d)\.(\d{3}) --> (\d{2,}):(\d\d):(\d\d)\.(\d{3})")


def test_subrip() -> None:
    assert srt(LINES) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello\n\n2\n00:01:00,000 --> 01:01:01,250\ntwo lines -> <b>&\n\n"
    )


def test_webvtt() -> None:
    assert vtt(LINES) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello\n\n"
        "00:01:00.000 --> 01:01:01.250\ntwo lines -&gt; &lt;b&gt;&amp;\n\n"
    )


def test_nothing_was_said() -> None:
    assert (srt([]), vtt([])) == ("", "WEBVTT\n\n")
    assert srt([(0, 1, " \n"), (1, 2, "a")]) == "1\n00:00:01,000 --> 00:00:02,000\na\n\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0004, "00:00:00.000"),
        (0.9996, "00:00:01.000"),
        (59.9994, "00:00:59.999"),
        (59.9996, "00:01:00.000"),
        (3599.9999, "01:00:00.000"),
        (7325.5, "02:02:05.500"),
        (360_000, "100:00:00.000"),
        (-0.2, "00:00:00.000"),
    ],
)
def test_times(seconds: float, shown: str) -> None:
    assert f"\n{shown} --> " in vtt([(seconds, seconds + 1, "a")])


def test_nothing_ends_before_it_begins() -> None:
    assert "00:00:05.000 --> 00:00:05.000" in vtt([(5, 4, "a")])


def test_a_mark_on_nothing_is_shown() -> None:
    assert srt([(0, 1, "\u0301")]).endswith("\n\u0301\n\n")


def test_a_long_line_is_shown_in_two_of_about_the_same_width() -> None:
    assert vtt([(0, 6, LONG[:76])]).split("\n")[3:5] == [
        "The quick brown fox jumps over the lazy",
        "dog and runs away from all of those",
    ]


def test_what_does_not_fit_is_shown_in_parts_of_the_time() -> None:
    first, second = srt([(10, 20, LONG)]).rstrip().split("\n\n")
    assert first.startswith("1\n00:00:10,000 --> ")
    assert second.endswith("still.")
    ends, begins = first.split("\n")[1].split(" --> ")[1], second.split("\n")[1].split(" --> ")[0]
    assert ends == begins > "00:00:15,000"
    assert second.split("\n")[1].endswith("00:00:20,000")


def test_ideographs_are_wide_and_long_words_are_broken() -> None:
    for text in ("今天天气很好我们去公园散步吧" * 3, "x" * 130):
        rows = [row for row in vtt([(0, 9, text)]).split("\n") if row and not row.startswith(("WEBVTT", "00:"))]
        assert "".join(rows) == text
        assert max(map(len, rows)) <= (21 if text[0] != "x" else 42)


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.text(max_size=200)), max_size=4))
def test_any_text_makes_a_file_that_can_be_read(lines: list[tuple[float, float, str]]) -> None:
    head, *cues = vtt(lines).split("\n\n")
    assert head == "WEBVTT"
    assert cues.pop() == ""
    shown = []
    for cue in cues:
        times, *rows = cue.split("\n")
        found = CUE.fullmatch(times)
        assert found is not None
        assert tuple(map(int, found.groups()[:4])) <= tuple(map(int, found.groups()[4:]))
        assert 1 <= len(rows) <= 2
        assert all(row.strip() and "-->" not in row and "<" not in row for row in rows)
        shown += rows
    said = re.sub("-{2,}>", "->", " ".join(" ".join(text.split()) for _, _, text in lines))
    assert "".join(html.unescape("".join(shown)).split()) == "".join(said.split())
