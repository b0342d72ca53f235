"""Cutting what is too long for an engine where it hurts least."""

from __future__ import annotations

import re
from collections.abc import Iterator

CLAUSE = re.compile(r"[,;:—–…]\s")


def cut(text: str, longest: int) -> Iterator[str]:
    """Parts of at most `longest` characters: whole clauses if there are any, else whole words, else what fits."""
    while len(text) > longest:
        place = _place(text[: longest + 1])
        yield text[:place].rstrip()
        text = text[place:].lstrip()
    yield text


def _place(window: str) -> int:
    clauses = [match.end() for match in CLAUSE.finditer(window)]
    return clauses[-1] if clauses else window.rfind(" ", 1) if " " in window[1:] else len(window) - 1
