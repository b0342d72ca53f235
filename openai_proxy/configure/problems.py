"""What is wrong with a configuration: every problem at once, each with the place where it is to be mended."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing to mend. `where` is a file, a variable or a flag; `line` counts from 1."""

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        message = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in self.message)
        return f"{place}: {message}"


class ConfigError(ValueError):
    """The configuration cannot be used; the text has one line a problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
