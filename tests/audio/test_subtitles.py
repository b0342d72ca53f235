"""Subtitles: times, numbers, and nothing that a player would take for something else."""

from __future__ import annotations

from audio.subtitles import srt, vtt

LINES = [(0.0, 1.5, " Hello"), (59.9996, 3661.25, "two\n\nlines ---> <b>&")]


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
