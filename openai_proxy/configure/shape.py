"""A tree of plain values -> the frozen structs of `config`, with every problem reported and not only the first."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import msgspec
from msgspec import Struct

from backends.wording import expected, instead, shown
from openai_proxy.config import Config
from openai_proxy.configure.lines import Path

Report: TypeAlias = Callable[[Path, str], None]


def build(kind: type[Struct], table: object, path: Path, report: Report) -> Any:
    """A `kind` of what is right in `table`; None when it cannot be made at all."""
    if not isinstance(table, dict):
        report(path, f"{dotted(path)} must be a table, not {shown(table)}")
        return None
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in table.keys() - fields.keys():
        report((*path, name), unknown((*path, name), fields))
    values = {}
    for name in table.keys() & fields.keys():
        values[name] = _value(fields[name].type, table[name], (*path, name), report)
    missing = [name for name, field in fields.items() if field.required and values.get(name) is None]
    for name in missing:
        if name not in table:
            report(path, f"{dotted(path)} needs the setting {name}")
    return None if missing else kind(**{name: value for name, value in values.items() if value is not None})


def _value(kind: Any, value: object, path: Path, report: Report) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return build(kind, value, path, report)
    if (struct := struct_of_mapping(kind)) and isinstance(value, dict):
        built = {name: build(struct, entry, (*path, name), report) for name, entry in value.items()}
        return {name: entry for name, entry in built.items() if entry is not None}
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        words = expected(kind)
        report(path, f"{dotted(path)} must be {words}, not {instead(words, value)}")
        return None


def struct_of_mapping(kind: Any) -> type[Struct] | None:
    """The struct that a mapping's entries are, if they are one."""
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(plain) is not Mapping:
        return None
    entry = get_args(plain)[1]
    return entry if isinstance(entry, type) and issubclass(entry, Struct) else None


def dotted(path: Path) -> str:
    """A path as it is written in the file; quoted where TOML asks for it."""
    return ".".join(_quoted(str(part)) for part in path)


def _quoted(part: str) -> str:
    return part if part.replace("-", "").replace("_", "").isalnum() and part.isascii() else shown(part)


def unknown(path: Path, known: Iterable[str]) -> str:
    """The sentence for a key that is no setting, with the nearest one that is."""
    name = str(path[-1])
    near = difflib.get_close_matches(name, known, n=1)
    hint = near[0] if near else _elsewhere(name)
    return f"{dotted(path)} is not a setting" + (f"; did you mean {hint}?" if hint else "")


def _elsewhere(name: str) -> str | None:
    """A setting of that name in one of the sections."""
    for section in msgspec.structs.fields(Config):
        kind = section.type
        if isinstance(kind, type) and issubclass(kind, Struct) and name in kind.__struct_fields__:
            return f"{section.name}.{name}"
    return None
