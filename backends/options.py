"""Tables of the configuration -> the struct of a backend's options: all that is wrong at once, in sentences.

Types and bounds are msgspec's to judge; what it says of them is written for programmers, so it is said anew here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from backends.wording import expected, instead, sort_of

S = TypeVar("S", bound=Struct)
Path: TypeAlias = tuple[str | int, ...]


class Wrong(NamedTuple):
    """A setting that a backend does not take. `path` leads to it from the model's table.

    `problem` is a sentence, which begins with the model's name and shows no secret.
    """

    path: Path
    problem: str


class WrongSettings(ValueError):
    """What a backend does not take of a model's settings: all of it."""

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        self.wrong = tuple(wrong)
        super().__init__("; ".join(each.problem for each in wrong))


def read_options(kind: type[S], place: str, backend: str, table: Mapping[str, Any]) -> S:
    """The table `options` as `kind`. Raises WrongSettings; its sentences begin with the `place`."""
    options, wrong = sift(kind, place, backend, table)
    if options is None or wrong:
        raise WrongSettings([Wrong(("options", *each.path), each.problem) for each in wrong])
    return options


def sift(
    kind: type[S], place: str, backend: str, table: Mapping[str, Any], hidden: Collection[str] = ()
) -> tuple[S | None, list[Wrong]]:
    """A `kind` of what is right in the table, if one can be made of it, and what is wrong. Paths begin in the table.

    What stands in place of one of the `hidden` fields is not shown: it may be secret.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    wrong = [Wrong((key,), f"{place}: {_unknown(key, fields, backend)}") for key in table if key not in fields]
    values = {}
    for name in [name for name in table if name in fields]:
        try:
            values[name] = msgspec.convert(table[name], fields[name].type)
        except (msgspec.ValidationError, OverflowError):
            secret = name in hidden
            wrong += [Wrong(path, f"{place}: {what}") for path, what in _misfits(fields[name], table[name], secret)]
    missing = [name for name, field in fields.items() if field.required and name not in values]
    wrong += [Wrong((), f"{place}: {name} is missing") for name in missing if name not in table]
    return None if missing else kind(**values), wrong


def _unknown(key: str, fields: Mapping[str, FieldInfo], backend: str) -> str:
    near = difflib.get_close_matches(key, fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
    return f"{backend} has no option {key!r}; {hint}"


def _misfits(field: FieldInfo, value: object, secret: bool) -> Iterator[tuple[Path, str]]:
    """Where the value is not what its field takes: the entries of a table of texts, else the whole."""
    words = expected(field.type)
    if words == "a table of texts" and isinstance(value, Mapping):
        for name, text in value.items():
            if not isinstance(text, str):
                yield (field.name, name), f"{field.name}.{name} must be text, not {sort_of(text)}"
        return
    yield (field.name,), f"{field.name} must be {words}, not {sort_of(value) if secret else instead(words, value)}"
