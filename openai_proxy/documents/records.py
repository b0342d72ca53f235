"""What is kept: collections and their documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Attributes: TypeAlias = Mapping[str, str | float | bool]


class Collection(Struct, frozen=True, kw_only=True):
    """Documents that are searched together. Times are Unix seconds.

    `id` is MyData, UserData, or `vs_` and 32 hex digits; `owner` is empty where all share it; `model` made its vectors.
    `ready`, `reading` and `failed` count its documents; `size` is the characters of their texts.
    """

    id: str
    owner: str
    name: str
    created: float
    used: float
    model: str | None = None
    metadata: Mapping[str, Any] = {}
    ready: int = 0
    reading: int = 0
    failed: int = 0
    size: int = 0


class Document(Struct, frozen=True, kw_only=True):
    """A document of a collection, and who handed it in. `size` is its bytes as they were handed in.

    Where it failed, `code` and `problem` say why.
    """

    id: str
    collection: str
    owner: str
    name: str
    created: float
    size: int
    state: Literal["reading", "ready", "failed"]
    media_type: str = ""
    pages: int = 0
    characters: int = 0
    passages: int = 0
    code: str = ""
    problem: str = ""
    attributes: Attributes = {}
