"""The servers behind models, for operators: what is known of each, and which of them get no new work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from starlette.routing import Route

from backends import UnknownUpstream, UpstreamState
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.errors import NotFound
from openai_proxy.openapi import Operation
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply

Steer: TypeAlias = Literal["drain", "undrain"]

ALL = "/admin/upstreams"
ONE = "/admin/models/{}/upstreams"
STEERED = "/admin/models/{}/upstreams/{}/"
SUMMARIES: dict[Steer, str] = {
    "drain": "Give an upstream no new work; key with scope admin",
    "undrain": "Give an upstream work again; key with scope admin",
}


def build(edge: Edge) -> Dialect:
    """The routes."""
    upstreams = Upstreams(edge)
    return Dialect(
        routes=(
            Route(ALL, edge.endpoint(upstreams.all), methods=["GET"]),
            Route(ONE.format("{id:path}"), edge.endpoint(upstreams.one), methods=["GET"]),
            *(
                Route(
                    STEERED.format("{id:path}", "{name:path}") + steer,
                    edge.endpoint(partial(upstreams.steer, steer)),
                    methods=["POST"],
                )
                for steer in SUMMARIES
            ),
        ),
        operations=(
            Operation("GET", ALL, "The servers behind all models; key with scope admin", reply=AllUpstreams),
            Operation(
                "GET", ONE.format("{id}"), "The servers behind a model; key with scope admin", reply=ModelUpstreams
            ),
            *(
                Operation("POST", STEERED.format("{id}", "{name}") + steer, summary, reply=UpstreamState, accepts=True)
                for steer, summary in SUMMARIES.items()
            ),
        ),
    )


class ModelUpstreams(Struct):
    """The servers behind one model."""

    id: str
    upstreams: list[UpstreamState]


class AllUpstreams(Struct):
    """The servers behind all models that have any."""

    models: list[ModelUpstreams]


class Upstreams:
    """The answers."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def all(self, incoming: Incoming) -> Reply:
        known = [
            ModelUpstreams(served.name, list(ask()))
            for served in self.edge.router.models.values()
            if (ask := asked(served)) is not None
        ]
        return Reply(msgspec.json.encode(AllUpstreams(known)))

    async def one(self, incoming: Incoming) -> Reply:
        served = self._served(incoming)
        return Reply(msgspec.json.encode(ModelUpstreams(served.name, list(self._of(served)))))

    async def steer(self, steer: Steer, incoming: Incoming) -> Reply:
        """Carry it out at once; 202 while requests still run at an upstream that is drained. It can be repeated."""
        served = self._served(incoming)
        name: str = incoming.scope["path_params"]["name"]
        self._of(served)
        order: Callable[[str], None] = getattr(served.backend, steer)
        try:
            order(name)
        except UnknownUpstream as error:
            raise NotFound(f"The model {served.name}: {error}") from error
        state = next(each for each in self._of(served) if each.name == name)
        busy = steer == "drain" and state.outstanding
        return Reply(msgspec.json.encode(state), status=202 if busy else 200)

    def _served(self, incoming: Incoming) -> Served:
        served = self.edge.router.steered(incoming.scope["path_params"]["id"])
        incoming.note_model(served.name)
        return served

    def _of(self, served: Served) -> Sequence[UpstreamState]:
        """Raises NotFound for a model whose engine is here."""
        ask = asked(served)
        if ask is None:
            raise NotFound(f"The model {served.name} has no upstreams.")
        return ask()


def asked(served: Served) -> Callable[[], Sequence[UpstreamState]] | None:
    """What tells of the servers behind a model, if it has any."""
    ask: Any = getattr(served.backend, "upstreams", None)
    return ask if callable(ask) else None
