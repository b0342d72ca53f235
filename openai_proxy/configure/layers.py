"""Flags over environment over file over default: one tree of plain values that remembers where each came from."""

from __future__ import annotations

import pathlib
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from backends.wording import expected, shown
from openai_proxy import default
from openai_proxy.config import Config
from openai_proxy.configure.lines import Path, lines
from openai_proxy.configure.problems import ConfigError, Problem
from openai_proxy.configure.shape import dotted, unknown

PREFIX = "OPENAI_PROXY_"
FLAGS = {"models": "--model, --backend"}


class Layers:
    """`tree` is what all sources say together; `problems` what was wrong so far, `faulty` the tables it was in."""

    def __init__(self, path: pathlib.Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
        self.file = str(path) if path else "the built-in configuration"
        self.text = read_text(path) if path else ""
        self.tree = parse(self.text, self.file)
        self.problems: list[Problem] = []
        self.faulty: set[str | int] = set()
        self.origins: dict[Path, str] = {}
        for setting, value in overrides.items():
            self.put(tuple(setting.split(".")), value, flag(setting))
        self.take_environment(environ)
        if "models" not in self.tree:
            self.tree = {**default.tree(), **self.tree}

    def put(self, path: Path, value: object, origin: str) -> None:
        """Set a value unless a stronger source has set it already."""
        if path in self.origins:
            return
        table = self.tree
        for part in path[:-1]:
            table = table.setdefault(str(part), {})
            if not isinstance(table, dict):  # the file is wrong here, and that is reported when the tree is built
                return
        table[str(path[-1])] = value
        self.origins[path] = origin

    def take_environment(self, environ: Mapping[str, str]) -> None:
        known = {variable(path): (path, kind) for path, kind in settings()}
        for name in sorted(environ):
            if not environ[name]:
                continue
            if name in known:
                self.take_variable(name, environ[name], *known[name])
            elif section := section_of(name):
                guess = (section, name.removeprefix(f"{PREFIX}{section.upper()}_").lower())
                known_here = [str(path[-1]) for path, _ in known.values() if path[0] == section]
                self.problems.append(Problem(name, unknown(guess, known_here)))

    def take_variable(self, name: str, text: str, path: Path, kind: Any) -> None:
        if not is_unicode(text):
            self.problems.append(Problem(name, "is not UTF-8 text"))
            return
        try:
            self.put(path, from_text(text, kind), name)
        except ValueError:
            self.problems.append(Problem(name, f"{dotted(path)} must be {expected(kind)}, not {shown(text)}"))

    def report(self, path: Path, message: str) -> None:
        """Note a problem at the place where the value at `path`, or the nearest table around it, was set."""
        self.faulty.add(path[0] if path else "")
        if origin := self.origin(path):
            self.problems.append(Problem(origin, message))
            return
        around = [path[:length] for length in range(len(path), 0, -1)]
        line = next((self.lines[part] for part in around if part in self.lines), None)
        self.problems.append(Problem(self.file, message, line))

    def origin(self, path: Path) -> str | None:
        """The variable or the flag that set the value at `path`, or a table around it."""
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self.origins[part] for part in around if part in self.origins), None)

    @cached_property
    def lines(self) -> dict[Path, int]:
        return lines(self.text)


def read_text(path: pathlib.Path) -> str:
    """The text of a configuration file. Raises ConfigError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin with a byte order mark
    except OSError as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), "is not UTF-8 text", line)]) from error


def parse(text: str, file: str) -> dict[str, Any]:
    """The plain tree of a TOML text. Raises ConfigError when it is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError([Problem(file, "is nested too deeply")]) from error
    except ValueError as error:
        raise ConfigError([Problem(file, f"is not TOML: {error}", getattr(error, "lineno", None))]) from error


def settings() -> Iterator[tuple[Path, Any]]:
    """Path and type of each setting that the environment may give: all but models."""
    for section in msgspec.structs.fields(Config):
        if isinstance(section.type, type) and issubclass(section.type, Struct):
            for field in msgspec.structs.fields(section.type):
                yield (section.name, field.name), field.type
        elif section.name != "models":
            yield (section.name,), section.type


def variable(path: Path) -> str:
    """OPENAI_PROXY_SERVER_PORT for `server.port`."""
    return PREFIX + "_".join(str(part) for part in path).upper()


def section_of(name: str) -> str | None:
    """The section whose variables begin as `name` does."""
    sections = {str(path[0]) for path, _ in settings() if len(path) > 1}
    return next((section for section in sections if name.startswith(f"{PREFIX}{section.upper()}_")), None)


def is_unicode(text: str) -> bool:
    """Whether this text of the environment was UTF-8; other bytes come as surrogates, which cannot be written out."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def from_text(text: str, kind: Any) -> Any:
    """A setting's value from text; lists are separated by commas. Raises ValueError."""
    if expected(kind).startswith("a list"):
        return msgspec.convert([part.strip() for part in text.split(",") if part.strip()], kind, strict=False)
    return msgspec.convert(text, kind, strict=False)


def flag(setting: str) -> str:
    """The flag of the command line that sets this setting."""
    return FLAGS.get(setting) or "--" + setting.rpartition(".")[2].replace("_", "-")
