"""What `GET /v1/models` of a server says of its models. Source: OpenAI's API, and `max_model_len` of vLLM's server."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct


class Listed(Struct, frozen=True):
    """One model; `max_model_len` is its context in tokens where it is told."""

    id: str
    max_model_len: int | None = None


class _Listing(Struct, frozen=True):
    data: list[Listed] = []


def read_listing(body: bytes) -> Mapping[str, Listed]:
    """The models by their id; none of what is no such list."""
    try:
        return {each.id: each for each in msgspec.json.decode(body, type=_Listing).data}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
