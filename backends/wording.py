"""What a setting takes, and what stands there instead, in the words of a person who writes TOML."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

UNBOUNDED = 10**12  # counts are checked against it, but it is no limit worth telling


def shown(value: object) -> str:
    """A value as one would write it in TOML, short, on one line and without control characters."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = msgspec.json.encode(value[:60].encode("utf-8", "backslashreplace").decode()).decode()
            return f'{text[:-1]}..."' if len(value) > 60 else text
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case int() if abs(value) >= 10**18:
            return "a huge number"
        case _:
            return str(value)


def sort_of(value: object) -> str:
    """What a value is, without the value: it may be secret."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "text" if value else "an empty text"
        case int() | float():
            return "a number"
        case _:
            return shown(value) if isinstance(value, dict | list | tuple) else "a date or time"


def instead(words: str, value: object) -> str:
    """The value that stands where `words` were expected; of a list an entry that does not belong there."""
    if not isinstance(value, list | tuple) or "a list" not in words:
        return shown(value)
    if "number" in words:
        return f"[{', '.join(shown(entry) for entry in value[:8])}]"
    for entry in value:
        if isinstance(entry, str) and "one of" in words and shown(entry) not in words:
            return f"a list with {shown(entry)} in it"
        if isinstance(entry, dict) != ("tables" in words) or not isinstance(entry, str | dict):
            return f"a list with {sort_of(entry)} in it"
    return "a list" if value else "an empty list"


def expected(kind: Any) -> str:
    """What a setting of this type takes, in words."""
    return _in_words(inspect.type_info(kind))


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _in_words(kind.type)
        case inspect.UnionType():
            return " or ".join(_in_words(part) for part in kind.types if not isinstance(part, inspect.NoneType))
        case inspect.VarTupleType():
            return _list(kind)
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return f"one of {', '.join(shown(value) for value in kind.values)}"
        case inspect.StrType():
            return _text(kind)
        case inspect.DictType(value_type=inspect.StrType()):
            return "a table of texts"
        case _:
            return "a table"


def _list(kind: inspect.VarTupleType) -> str:
    least = ", at least one" if kind.min_length else ""
    match kind.item_type:
        case inspect.LiteralType() | inspect.IntType():
            return f"a list{least}, each {_in_words(kind.item_type)}"
        case inspect.DictType():
            return f"a list of tables{least}"
        case _:
            return f"a list of texts{least}"


def _text(kind: inspect.StrType) -> str:
    if kind.max_length is not None:
        return f"text of {kind.min_length or 0} to {kind.max_length} characters"
    return "text that is not empty" if kind.min_length else "text"


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    least = (
        f"from {_plain(kind.ge)}" if kind.ge is not None else f"above {_plain(kind.gt)}" if kind.gt is not None else ""
    )
    most = f"up to {_plain(kind.le)}" if kind.le is not None and kind.le < UNBOUNDED else ""
    return " ".join(word for word in (noun, least, most) if word)


def _plain(number: float) -> str:
    return f"{number:.0f}" if number == int(number) else f"{number:g}"
