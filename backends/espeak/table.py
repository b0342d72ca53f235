"""`espeak-ng --voices` -> the voices that it has here."""

from __future__ import annotations

from collections.abc import Iterator

from backends import Voice

# Columns: priority, language, age and gender, name, file, then other languages.
COLUMNS = 5
CHINESE = {"cmn": "zh", "yue": "zh"}


def voices(table: str, default: str) -> dict[str, Voice]:
    """What espeak calls each voice (its file), and the voice, named by its language; the `default` one first."""
    found: dict[str, tuple[str, Voice]] = {}
    for language, name, file in _rows(table):
        # Two of one language: the second by its file.
        own = language if language not in found else file.rpartition("/")[2].lower()
        code = language.partition("-")[0]
        voice = Voice(own, (CHINESE.get(code, code),), name.replace("_", " "))
        found.setdefault(own, (file, voice))
    order = sorted(found.values(), key=lambda each: each[1].name != default)
    return dict(order)


def _rows(table: str) -> Iterator[tuple[str, str, str]]:
    for line in table.splitlines()[1:]:
        cells = line.split()
        # A file is given as an argument: it must not look like an option.
        if len(cells) >= COLUMNS and not cells[4].startswith("-"):
            yield cells[1], cells[3], cells[4]
