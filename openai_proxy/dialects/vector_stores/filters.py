"""Which documents a search looks into, by their attributes.

Source: https://platform.openai.com/docs/api-reference/vector-stores/search, `filters`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from openai_proxy.documents.records import Attributes
from openai_proxy.errors import InvalidRequest

DEEPEST, MOST = 5, 100
Plain: TypeAlias = bool | float | str
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Comparison(Struct, forbid_unknown_fields=True):
    """An attribute beside a value; one that is absent is like none."""

    key: Annotated[str, Meta(max_length=64)]
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    value: Plain | Annotated[list[float | str], Meta(max_length=100)]


class Compound(Struct, forbid_unknown_fields=True):
    """All of them, or any."""

    filters: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=20)]
    type: Literal["and", "or"]


def check(filters: Mapping[str, Any]) -> None:
    """Whether they can be looked at for each document. Raises InvalidRequest."""
    waiting, count = [filters], 0
    while waiting:
        count += 1
        inner = waiting.pop().get("filters", ())
        waiting += [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
        if count + len(waiting) > MOST:
            raise InvalidRequest(f"filters has more than {MOST} parts.", param="filters")
    matches(filters, {})


def matches(filters: Mapping[str, Any], attributes: Attributes, depth: int = 0) -> bool:
    """Whether a document is looked into. Raises InvalidRequest."""
    if depth >= DEEPEST:
        raise InvalidRequest(f"filters are nested more than {DEEPEST} times.", param="filters")
    try:
        if "filters" in filters:
            compound = msgspec.convert(filters, Compound)
            each = [matches(part, attributes, depth + 1) for part in compound.filters]
            return all(each) if compound.type == "and" else any(each)
        return _compares(msgspec.convert(filters, Comparison), attributes)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"filters: {str(error)[:200]}", param="filters") from None


def _compares(asked: Comparison, attributes: Attributes) -> bool:
    value = attributes.get(asked.key)
    if asked.type in ("in", "nin"):
        if not isinstance(asked.value, list):
            raise InvalidRequest(f"filters: {asked.type} needs a list.", param="filters")
        return (value in asked.value) == (asked.type == "in")
    if asked.type in ("eq", "ne"):
        same = value == asked.value and isinstance(value, bool) == isinstance(asked.value, bool)
        return same == (asked.type == "eq")
    if isinstance(value, str) != isinstance(asked.value, str) or value is None or isinstance(asked.value, list):
        return False
    return ORDERS[asked.type](value, asked.value)
