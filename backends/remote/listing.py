"""What `GET /v1/models` of a server says of its models.

Source: OpenAI's API; `max_model_len` and `parent` (of a LoRA adapter) of vLLM's server, `context_length` of others; for
what else is in it see `abilities` and `openai_proxy.dialects.openai.models`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from backends import Kind
from backends.remote.abilities import kinds_of


class Listed(Struct, frozen=True):
    """One model."""

    id: str
    max_model_len: Any = None
    context_length: Any = None
    parent: Any = None
    kinds: Any = None
    type: Any = None
    task: Any = None
    capabilities: Any = None
    via: Any = None
    lacks: Any = None

    @property
    def path(self) -> tuple[str, ...]:
        """The servers of our kind through which the one that lists it knows it, itself the first."""
        given = self.via if isinstance(self.via, list) else ()
        return tuple(each for each in given if isinstance(each, str))


class _Listing(Struct, frozen=True):
    data: list[Listed]


def read_listing(body: bytes) -> Mapping[str, Listed] | None:
    """The models by their id; None for what is no such list."""
    try:
        return {each.id: each for each in msgspec.json.decode(body, type=_Listing).data}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def context_of(name: str, listing: Mapping[str, Listed]) -> int | None:
    """Tokens that the model of that name holds, by its own entry or, for an adapter, by that of its base model."""
    entry = listing.get(name)
    if entry is None:
        return None
    base = listing.get(entry.parent) if isinstance(entry.parent, str) else None
    told = (entry.max_model_len, entry.context_length, *((base.max_model_len, base.context_length) if base else ()))
    return next((length for length in told if type(length) is int and length > 0), None)


def kinds_at(name: str, listings: Iterable[Mapping[str, Listed]]) -> frozenset[Kind] | None:
    """The requests that the model takes at any of its servers, as far as they tell; None where none does."""
    entries = [listing[name] for listing in listings if name in listing]
    told = [kinds_of(each.kinds, each.type, each.task, each.capabilities) for each in entries]
    known = [kinds for kinds in told if kinds is not None]
    return frozenset().union(*known) if known else None


def lacking(entries: Iterable[Listed | None]) -> frozenset[str]:
    """The options of sampling that a model lacks at any of its servers, if they are of our kind and tell."""
    told = [entry.lacks for entry in entries if entry is not None and isinstance(entry.lacks, list)]
    return frozenset(each for lacks in told for each in lacks if isinstance(each, str))


def narrowest(name: str, listings: Iterable[Mapping[str, Listed]]) -> int | None:
    """Tokens that the model holds at each of its servers, as far as they tell."""
    known = [length for listing in listings if (length := context_of(name, listing)) is not None]
    return min(known, default=None)
