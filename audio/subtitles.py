"""Timed text as subtitles: SubRip (.srt) and WebVTT (https://www.w3.org/TR/webvtt1/).

Two lines of 42 columns are what viewers can read at once (BBC and Netflix guidelines): longer text is shown in parts,
each for its share of the time.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TypeAlias

# When a line begins and ends, in seconds, and what it says.
Line: TypeAlias = tuple[float, float, str]
ARROW = re.compile("-{2,}>")
COLUMNS, ROWS = 42, 2


def srt(lines: Iterable[Line]) -> str:
    """A whole SubRip file."""
    numbered = enumerate(_cues(lines), start=1)
    return "".join(f"{n}\n{_time(a, ',')} --> {_time(b, ',')}\n{t}\n\n" for n, (a, b, t) in numbered)


def vtt(lines: Iterable[Line]) -> str:
    """A whole WebVTT file; what would be a tag or an entity in it is escaped."""
    cues = (f"{_time(a, '.')} --> {_time(b, '.')}\n{html.escape(t, quote=False)}\n\n" for a, b, t in _cues(lines))
    return "WEBVTT\n\n" + "".join(cues)


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _cues(lines: Iterable[Line]) -> Iterator[Line]:
    """What is shown at once. What has no text is not shown, and nothing ends before it begins."""
    for start, end, text in lines:
        start = max(0.0, start)
        seconds = max(0.0, end - start)
        rows = _rows(_text(text))
        parts = ["\n".join(rows[at : at + ROWS]) for at in range(0, len(rows), ROWS)]
        whole, before = sum(map(_width, parts)) or 1, 0
        for part in parts:
            after = before + _width(part)
            yield start + seconds * before / whole, start + seconds * after / whole, part
            before = after


def _text(text: str) -> str:
    """On one line and without an arrow: an empty line ends a cue, an arrow begins one."""
    return ARROW.sub("->", " ".join(text.split()))


def _rows(text: str) -> list[str]:
    """As few rows as can be, of about the same width."""
    words = [(word, _width(word.rstrip()), _width(word)) for word in _words(text)]
    rows = _wrapped(words, COLUMNS)
    if len(rows) > 1:
        for columns in range(math.ceil(_width(text) / len(rows)), COLUMNS):
            narrower = _wrapped(words, columns)
            if len(narrower) == len(rows):
                return narrower
    return rows


def _wrapped(words: list[tuple[str, int, int]], columns: int) -> list[str]:
    """Rows of words that come with their widths, without and with the space after them."""
    rows: list[str] = []
    row, width = "", 0
    for word, bare, spaced in words:
        if row and width + bare > columns:
            rows.append(row.rstrip())
            row, width = "", 0
        row, width = row + word, width + spaced
    return [*rows, row.rstrip()] if row else rows


def _words(text: str) -> Iterator[str]:
    """What stays together, with the space after it: words, or parts of those that fill a row, or wide characters."""
    for word in re.findall(r"\S+\s?", text):
        if word.isascii() and len(word) <= COLUMNS:
            yield word
        else:
            yield from _parts(word)


def _parts(word: str) -> Iterator[str]:
    part, width = "", 0
    for character in word:
        more = _width(character)
        if part and more and (_wide(part[-1]) or width + more > COLUMNS) and not character.isspace():
            yield part
            part, width = "", 0
        part, width = part + character, width + more
    yield part


def _width(text: str) -> int:
    """In columns: ideographs take two, marks on other characters none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 2 if _wide(each) else 1 for each in text)


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
