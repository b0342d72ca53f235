"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from openai_proxy.dialects import Edge
from openai_proxy.listing import ModelEntry, entry
from openai_proxy.wire import Incoming, Reply


class ModelList(Struct):
    """All of them; `has_more` keeps clients that page from asking for ever."""

    data: list[ModelEntry]
    object: str = "list"
    has_more: bool = False


class Models:
    """Lists the models."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        return Reply(msgspec.json.encode(ModelList(list(self._entries()))))

    def _entries(self) -> Iterator[ModelEntry]:
        for name, served in self.edge.router.names:
            yield entry(name, served)


class OneModel:
    """Shows one model; ids may contain slashes."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        name: str = incoming.scope["path_params"]["id"]
        return Reply(msgspec.json.encode(entry(name, self.edge.router.find(name))))
