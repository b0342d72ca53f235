"""Endpoints: names for one model and one kind of request, from the configuration or made of the models' ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

from msgspec import Struct

from backends import Kind
from backends.wording import shown
from openai_proxy.dialects import Edge
from openai_proxy.errors import ModelNotFound
from openai_proxy.served import Served
from openai_proxy.settings.protocols import AimeEndpoint

# What an endpoint may do. Of a model that does several things the first one has an endpoint.
Does: TypeAlias = Literal["chat", "image", "speech", "transcription", "embedding", "completion"]
DOES: tuple[Does, ...] = ("chat", "image", "speech", "transcription", "embedding", "completion")
# What to do about a model that has none.
ANOTHER = "give it one of another name in aime.endpoints"
TAKEN = f'other paths begin with {{}}; {ANOTHER}, or set protocols.aime to "/aime"'
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
    """The endpoints of a server, as they are now: models may be found, and the configuration read anew.

    A name is `free` if no other path begins with it: else no endpoint is made of it. Of two models that would have the
    same one the first has it.
    """

    def __init__(self, edge: Edge, free: Callable[[str], bool]) -> None:
        self.edge = edge
        self.free = free

    def find(self, name: str) -> Endpoint | None:
        """The endpoint of that name; None if there is none."""
        told = self.edge.config.aime.endpoints.get(name)
        if told is not None:
            return self._of(name, told)
        model = next((model for model in self._unnamed() if name_of(model) == name), None)
        return None if model is None or not self.free(name) else self._of(name, AimeEndpoint(model=model))

    def __iter__(self) -> Iterator[Endpoint]:
        """All of them, those of the configuration first."""
        config = self.edge.config.aime.endpoints
        given = [self._of(name, told) for name, told in config.items()]
        made = {name_of(model): AimeEndpoint(model=model) for model in reversed([*self._unnamed()])}
        free = [(name, told) for name, told in reversed(made.items()) if name not in config and self.free(name)]
        found = (*given, *(self._of(name, told) for name, told in free))
        return (endpoint for endpoint in found if endpoint is not None)

    def left_out(self) -> Iterator[str]:
        """Why models have no endpoint that would have one but for its name."""
        made: dict[str, str] = {}
        for model in self._unnamed():
            name = name_of(model)
            if self._of(name, AimeEndpoint(model=model)) is None or name in self.edge.config.aime.endpoints:
                continue
            other = made.setdefault(name, model)
            if not self.free(name):
                yield f"the model {shown(model)} has no endpoint for AIME's clients: {TAKEN.format(shown(name))}"
            elif other != model:
                both = f"{shown(other)} has {shown(name)}; {ANOTHER}"
                yield f"the model {shown(model)} has no endpoint for AIME's clients: {both}"

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
