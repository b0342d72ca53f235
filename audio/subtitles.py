"""Timed text as subtitles: SubRip (.srt) and WebVTT (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias

# When a line begins and ends, in seconds, and what it says.
Line: TypeAlias = tuple[float, float, str]
ARROW = re.compile("-{2,}>")


def srt(lines: Iterable[Line]) -> str:
    """A whole SubRip file."""
    numbered = enumerate(lines, start=1)
    return "".join(f"{n}\n{_time(a, ',')} --> {_time(b, ',')}\n{_text(t)}\n\n" for n, (a, b, t) in numbered)


def vtt(lines: Iterable[Line]) -> str:
    """A whole WebVTT file; what would be a tag or an entity in it is escaped."""
    cues = (f"{_time(a, '.')} --> {_time(b, '.')}\n{html.escape(_text(t), quote=False)}\n\n" for a, b, t in lines)
    return "WEBVTT\n\n" + "".join(cues)


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _text(text: str) -> str:
    """On one line and without an arrow: an empty line ends a cue, an arrow begins one."""
    return ARROW.sub("->", " ".join(text.split()))
