"""Pages of a list: which part of it an address asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, get_type_hints
from urllib.parse import parse_qs

import msgspec

from openai_proxy.dialects.vector_stores.bodies import ListQuery
from openai_proxy.errors import InvalidRequest, TooManyItems, UnknownParameter

FIELDS = 16
T = TypeVar("T")
Q = TypeVar("Q", bound=ListQuery)


def asked(query: bytes, kind: type[Q]) -> Q:
    """The parameters of an address. Raises InvalidRequest."""
    try:
        given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise TooManyItems(f"The address has more than {FIELDS} parameters.") from None
    known = get_type_hints(kind, include_extras=True)
    values = {}
    for name, texts in given.items():
        if name not in known:
            raise UnknownParameter(f"{name[:100]} is no parameter; known are {', '.join(known)}.", param=name[:100])
        try:
            values[name] = msgspec.convert(texts[-1], known[name], strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"{name}: {str(error)[:200]}", param=name) from None
    return kind(**values)


def page(newest_first: Sequence[tuple[str, T]], query: ListQuery) -> tuple[list[T], bool]:
    """The part of a list, by the ids of its entries, and whether there is more. Raises InvalidRequest."""
    entries = list(newest_first if query.order == "desc" else reversed(newest_first))
    ids = [id for id, _ in entries]
    for name in ("after", "before"):
        if (id := getattr(query, name)) is not None and id not in ids:
            raise InvalidRequest(f"{name}: there is nothing called {id!r:.100} in this list.", param=name)
    if query.after is not None:
        entries = entries[ids.index(query.after) + 1 :]
    if query.before is not None:
        entries = entries[: max(0, len(entries) - (len(ids) - ids.index(query.before)))]
        return [each for _, each in entries[-query.limit :]], len(entries) > query.limit
    return [each for _, each in entries[: query.limit]], len(entries) > query.limit
