"""The servers behind models, for operators: what is known of each, and which of them get no new work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import Struct, structs
from starlette.routing import Route

from backends import UpstreamState
from openai_proxy.company import Steer
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.openapi import Operation
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply

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
    """The answers. Where several processes serve together, each has its own view of an upstream: they are merged."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def all(self, incoming: Incoming) -> Reply:
        having = [served for served in self.edge.router.models.values() if served.has_upstreams]
        return Reply(msgspec.json.encode(AllUpstreams(list(await asyncio.gather(*map(self._told, having))))))

    async def one(self, incoming: Incoming) -> Reply:
        return Reply(msgspec.json.encode(await self._told(self._served(incoming))))

    async def steer(self, steer: Steer, incoming: Incoming) -> Reply:
        """Carry it out at once; 202 while requests still run at an upstream that is drained. It can be repeated."""
        served = self._served(incoming)
        name: str = incoming.scope["path_params"]["name"]
        served.steer(steer, name)
        told = await self._told(served, (steer, name))
        state = next(each for each in told.upstreams if each.name == name)
        busy = steer == "drain" and state.outstanding
        return Reply(msgspec.json.encode(state), status=202 if busy else 200)

    def _served(self, incoming: Incoming) -> Served:
        served = self.edge.router.steered(incoming.scope["path_params"]["id"])
        incoming.note_model(served.name)
        return served

    async def _told(self, served: Served, steer: tuple[Steer, str] | None = None) -> ModelUpstreams:
        """What all processes know; `steer` is for the others."""
        fleet = self.edge.fleet
        served.upstreams()  # there are some
        others = [] if fleet is None else await fleet.upstreams(served.name, steer)
        return ModelUpstreams(served.name, [merged(own, others) for own in served.upstreams()])


def merged(own: UpstreamState, others: Sequence[Sequence[UpstreamState]]) -> UpstreamState:
    """One upstream, as all processes see it: in the state that the one tells which has most requests there."""
    views = [own, *(each for other in others for each in other if each.name == own.name)]
    latencies = [each.first_byte for each in views if each.first_byte is not None]
    return structs.replace(
        max(views, key=lambda each: each.outstanding),
        outstanding=sum(each.outstanding for each in views),
        first_byte=sum(latencies) / len(latencies) if latencies else None,
    )
