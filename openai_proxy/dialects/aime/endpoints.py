"""Endpoints: names for one model and one kind of request, from the configuration or made of the models' ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

from msgspec import Struct

from backends import Kind
from openai_proxy.config import AimeEndpoint, Config
from openai_proxy.dialects import Edge
from openai_proxy.errors import ModelNotFound
from openai_proxy.served import Served

# What an endpoint may do. Of a model that does several things the first one has an endpoint.
Does: TypeAlias = Literal["chat", "image", "speech", "transcription", "embedding", "completion"]
DOES: tuple[Does, ...] = ("chat", "image", "speech", "transcription", "embedding", "completion")
# Paths of this protocol: no endpoints.
OWN = frozenset({"login", "get_client_session_auth_key", "api"})


class Endpoint(Struct, frozen=True):
    """One endpoint, the model behind it and what clients call that; `told` is what the configuration says of it."""

    name: str
    kind: Does
    model: str
    served: Served
    told: AimeEndpoint

    @property
    def version(self) -> int:
        return self.told.version

    def open_to(self, caller: str) -> bool:
        """Whether the key of that name may use it."""
        return not self.told.keys or caller in self.told.keys


class Endpoints:
    """The endpoints of a server, as they are now: models may be found, and the configuration read anew."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of that name; None if there is none."""
        told = self.edge.config.aime.endpoints.get(name)
        if told is not None:
            return self._of(name, told)
        return next(
            (self._of(name, AimeEndpoint(model=model)) for model in self._unnamed() if name_of(model) == name), None
        )

    def __iter__(self) -> Iterator[Endpoint]:
        """All of them, those of the configuration first."""
        config = self.edge.config.aime.endpoints
        given = [self._of(name, told) for name, told in config.items()]
        made = {name_of(model): AimeEndpoint(model=model) for model in reversed([*self._unnamed()])}
        found = (*given, *(self._of(name, told) for name, told in reversed(made.items()) if name not in config))
        return (endpoint for endpoint in found if endpoint is not None)

    def _of(self, name: str, told: AimeEndpoint) -> Endpoint | None:
        try:
            served = self.edge.router.find(told.model)
        except ModelNotFound:
            return None
        kind = told.kind or kind_of(served.known(told.model).kinds)
        return None if kind is None else Endpoint(name, kind, told.model, served, told)

    def _unnamed(self) -> Iterator[str]:
        """The ids of models for which no endpoint is configured."""
        named = {told.model for told in self.edge.config.aime.endpoints.values()}
        for name, served in self.edge.router.names:
            if (served.discovers or name == served.name) and named.isdisjoint((name, *served.config.names)):
                yield name


@lru_cache(4096)
def name_of(model: str) -> str:
    """The endpoint of a model for which none is configured: its id as one segment of a path."""
    return model.lower().replace("/", "_").replace(".", "_")


def kind_of(kinds: Collection[Kind]) -> Does | None:
    """What the endpoint of a model does that takes requests of these kinds."""
    return next((kind for kind in DOES if kind in kinds), None)


def names(config: Config, kinds: Mapping[str, Collection[Kind]]) -> dict[str, str | None]:
    """The endpoints that a configuration asks for, with the model for which each was made, None for one that it names.

    `kinds` are those of the models that are known before any is loaded.
    """
    given: dict[str, str | None] = dict.fromkeys(config.aime.endpoints)
    named = {told.model for told in config.aime.endpoints.values()}
    for model, kind in kinds.items():
        if kind_of(kind) is not None and named.isdisjoint((model, *config.models[model].names)):
            given.setdefault(name_of(model), model)
    return given
