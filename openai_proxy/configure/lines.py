"""On which line of a TOML document each key stands.

The standard library's parser drops positions, and the libraries that keep them parse a second dialect of TOML. The
document has been parsed by `tomllib` before it comes here, so this scanner may trust it: it only has to tell keys,
strings, comments and brackets apart.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
KEY_PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}\n#]*")


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each key of a valid TOML document: a table's header, or the first key that implies it.

    Entries of arrays are found under their number. Of a document nested too deeply to be walked only what came before
    is known.
    """
    found = _Scanner(text)
    try:
        found.document()
    except RecursionError:
        return found.lines
    return found.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.line = 1
        self.counted = 0
        self.lines: dict[Path, int] = {}
        self.entries: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        self.blank()
        while self.position < len(self.text):
            table = self.header() if self.text[self.position] == "[" else self.pair(table)
            self.blank()

    def header(self) -> Path:
        array = self.text.startswith("[[", self.position)
        self.position += 2 if array else 1
        path = self.key(())
        if array:
            path = (*path, self.entries.get(path, 0))
            self.entries[path[:-1]] = int(path[-1]) + 1
            self.note(path)
        self.position += 2 if array else 1
        return path

    def pair(self, table: Path) -> Path:
        path = self.key(table)
        self.position += 1  # the equals sign
        self.blank()
        self.value(path)
        return table

    def key(self, table: Path) -> Path:
        """Read a dotted key, note where each of its parts stands and return the path of the last."""
        path = table
        for part in self.parts():
            path = (*path, part)
            self.note(path)
            if path in self.entries:  # a key below an array of tables belongs to its latest entry
                path = (*path, self.entries[path] - 1)
        return path[:-1] if isinstance(path[-1], int) else path

    def parts(self) -> Iterator[str]:
        dot = "."
        while dot:
            match = KEY_PART.match(self.text, self.position)
            if match is None:  # only a document that tomllib refuses
                return
            self.position = match.end()
            raw, dot = match.groups()
            yield str(tomllib.loads(f"key = {raw}")["key"]) if raw[0] in "\"'" else raw

    def value(self, path: Path) -> None:
        self.note(path)
        opening = self.text[self.position]
        if opening == "[":
            self.array(path)
        elif opening == "{":
            self.inline(path)
        elif match := (STRING if opening in "\"'" else SCALAR).match(self.text, self.position):
            self.position = match.end()

    def array(self, path: Path) -> None:
        number = 0
        while self.inside("]"):
            self.value((*path, number))
            number += 1

    def inline(self, path: Path) -> None:
        while self.inside("}"):
            self.pair(path)

    def inside(self, closing: str) -> bool:
        """Step over the opening bracket or a comma; False once the closing bracket was stepped over."""
        self.blank()
        if self.text[self.position] != closing:
            if self.text[self.position] in "[{,":
                self.position += 1
            self.blank()
        if self.text[self.position] != closing:
            return True
        self.position += 1
        return False

    def blank(self) -> None:
        if match := BLANK.match(self.text, self.position):
            self.position = match.end()

    def note(self, path: Path) -> None:
        self.line += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        self.lines.setdefault(path, self.line)
