"""Which documents a search looks into, by their attributes.

Source: https://platform.openai.com/docs/api-reference/vector-stores/search, `filters`.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from openai_proxy.documents.records import Attributes
from openai_proxy.errors import InvalidRequest

DEEPEST, MOST = 5, 100
Plain: TypeAlias = bool | float | str
Matches: TypeAlias = Callable[[Attributes], bool]
SAME: Callable[[Any, Any], bool] = operator.eq
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Comparison(Struct, forbid_unknown_fields=True):
    """An attribute beside a value, or several. One that is absent, or of another type, is like none."""

    key: Annotated[str, Meta(max_length=64)]
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    value: Plain | Annotated[list[Plain], Meta(max_length=100)]


class Compound(Struct, forbid_unknown_fields=True):
    """All of them, or any."""

    filters: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=20)]
    type: Literal["and", "or"]


def matching(filters: Mapping[str, Any]) -> Matches:
    """What tells of a document's attributes whether it is looked into. Raises InvalidRequest."""
    return _matching(filters, 1, itertools.count(1))


def _matching(filters: Mapping[str, Any], depth: int, counted: Iterator[int]) -> Matches:
    if depth > DEEPEST:
        raise _wrong(f"are nested more than {DEEPEST} times.")
    if next(counted) > MOST:
        raise _wrong(f"have more than {MOST} parts.")
    try:
        if "filters" not in filters:
            return _comparing(msgspec.convert(filters, Comparison))
        compound = msgspec.convert(filters, Compound)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)[:200]) from None
    parts = [_matching(each, depth + 1, counted) for each in compound.filters]
    if compound.type == "and":
        return lambda attributes: all(part(attributes) for part in parts)
    return lambda attributes: any(part(attributes) for part in parts)


def _comparing(asked: Comparison) -> Matches:
    if (asked.type in ("in", "nin")) != isinstance(asked.value, list):
        raise _wrong(f"{asked.type} takes {'one value' if isinstance(asked.value, list) else 'a list'}.")
    values = asked.value if isinstance(asked.value, list) else [asked.value]
    holds, wanted = ORDERS.get(asked.type, SAME), asked.type not in ("ne", "nin")

    def matches(attributes: Attributes) -> bool:
        given = attributes.get(asked.key)
        return any(_type(given) is _type(value) and holds(given, value) for value in values) == wanted

    return matches


def _type(value: object) -> type:
    """JSON's types: it has one for numbers, and true is none."""
    return float if type(value) is int else type(value)


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"filters: {what}", param="filters")
