"""Files of secrets: a line each, replaced in one step, readable by their owner only."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from msgspec import Struct


class Named(Protocol):
    """What a line says."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Book(Struct, Generic[T], frozen=True):
    """How such files are read and changed. Lines that start with `#` are comments, as the `header` of a new file is.

    `parse` reads any other line and raises `problem`, which then has the line's number. `kind` is what the file is
    called in the problem of one that is no text.
    """

    kind: str
    header: str
    parse: Callable[[str], T]
    problem: type[ValueError]

    def listed(self, path: Path) -> list[T]:
        """What is in it. Raises the problem, or OSError."""
        return [found for _, found in self._read(path) if found is not None]

    def add(self, path: Path, line: str, instead: str | None = None) -> int:
        """Add a line, in place of those of a name; how many those were. The file is made when it is not there.

        Raises the problem, or OSError.
        """
        lines, gone = self._without(path, instead) if path.exists() else ([self.header], 0)
        rewrite(path, [*lines, line])
        return gone

    def remove(self, path: Path, name: str) -> int:
        """Remove all lines of a name; how many there were. Raises the problem, or OSError."""
        lines, gone = self._without(path, name)
        if gone:
            rewrite(path, lines)
        return gone

    def _without(self, path: Path, name: str | None) -> tuple[list[str], int]:
        """The lines but for those of a name, and how many these are."""
        found = self._read(path)
        kept = [line for line, each in found if each is None or each.name != name]
        return kept, len(found) - len(kept)

    def _read(self, path: Path) -> list[tuple[str, T | None]]:
        """Each line, and what it says; None for a comment."""
        return [(line, self._said(path, number, line)) for number, line in enumerate(self._lines(path), 1)]

    def _said(self, path: Path, number: int, line: str) -> T | None:
        if not line.strip() or line.lstrip().startswith("#"):
            return None
        try:
            return self.parse(line)
        except self.problem as error:
            raise self.problem(f"{path}, line {number}: {error}") from None

    def _lines(self, path: Path) -> list[str]:
        try:
            return path.read_text("utf-8").splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise self.problem(f"{path} is not {self.kind}: it is not UTF-8 text") from error


def rewrite(path: Path, lines: Iterable[str]) -> None:
    """Replace the file, or make it; a reader sees the old one or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(line if line.endswith("\n") else line + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def exposed(path: Path) -> bool:
    """Whether others than its owner may read the file. Raises OSError."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
