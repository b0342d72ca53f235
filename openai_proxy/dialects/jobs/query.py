"""Which jobs somebody asks for."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_type_hints
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from openai_proxy.errors import InvalidRequest, TooManyItems, UnknownParameter
from openai_proxy.jobs.job import State

MOST, FIELDS = 100, 64
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Place = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class JobQuery(Struct, kw_only=True):
    """Parameters of `GET /admin/jobs`; `before` is the `next` of the page before."""

    state: list[State] = []
    owner: Name | None = None
    origin: Name | None = None
    model: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 20
    before: Place | None = None


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(JobQuery, include_extras=True)


def asked(query: bytes) -> JobQuery:
    """The query of an address; states may be repeated or separated by commas. Raises InvalidRequest."""
    try:
        given = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise TooManyItems(f"The address has more than {FIELDS} parameters.") from None
    return JobQuery(**{name: _value(name, values) for name, values in given.items()})


def _value(name: str, values: list[str]) -> Any:
    kind = _kinds().get(name)
    if kind is None:
        known = ", ".join(_kinds())
        raise UnknownParameter(f"{name[:100]} is no parameter; known are {known}.", param=name[:100])
    value = [each for text in values for each in text.split(",") if each] if name == "state" else values[-1]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{name}: {str(error)[:200]}", param=name) from None
