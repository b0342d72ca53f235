"""What operators and orchestrators ask: is it alive, is it ready, how is it doing; and what they order.

They order a new configuration to be taken, workers to be replaced, and a model to be loaded, unloaded, put to sleep or
woken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import get_args

import msgspec
from msgspec import Struct
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backends import State
from openai_proxy.company import Order
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.errors import InvalidRequest, NotFound
from openai_proxy.metrics import CONTENT_TYPE
from openai_proxy.openapi import Operation
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply

PATHS: dict[Order, str] = {order: f"/admin/models/{{}}/{order}" for order in get_args(Order)}
SUMMARIES: dict[Order, str] = {
    "load": "Load a model; key with scope admin",
    "unload": "End a model's engine when what runs has ended; key with scope admin",
    "sleep": "Give a model's memory back until the next request; key with scope admin",
    "wake": "Bring a sleeping model back; key with scope admin",
}


def build(edge: Edge) -> Dialect:
    """The routes of an operator."""
    operator = Operator(edge)
    return Dialect(
        routes=(
            Route("/health", edge.endpoint(operator.alive), methods=["GET"]),
            Route("/livez", edge.endpoint(operator.alive), methods=["GET"]),
            Route("/readyz", edge.endpoint(operator.ready), methods=["GET"]),
            Route("/metrics", edge.endpoint(operator.measures), methods=["GET"]),
            Route("/events", operator.events, methods=["GET"]),
            Route("/admin/reload", edge.endpoint(operator.reload), methods=["POST"]),
            Route("/admin/restart", edge.endpoint(operator.restart), methods=["POST"]),
            *(
                Route(path.format("{id:path}"), edge.endpoint(partial(operator.order, order)), methods=["POST"])
                for order, path in PATHS.items()
            ),
        ),
        operations=(
            Operation("GET", "/health", "Whether the process lives", reply=Health),
            Operation("GET", "/livez", "The same", reply=Health),
            Operation(
                "GET",
                "/readyz",
                "Whether the default model answers",
                reply=Readiness,
                not_ready=True,
            ),
            Operation("GET", "/metrics", "Prometheus metrics; key with scope admin", media="text/plain"),
            Operation("GET", "/events", "Model states as server-sent events", media="text/event-stream"),
            Operation("POST", "/admin/reload", "Read the configuration anew; key with scope admin", reply=Readiness),
            Operation(
                "POST", "/admin/restart", "Replace all workers; key with scope admin", reply=Health, accepts=True
            ),
            *(
                Operation("POST", path.format("{id}"), SUMMARIES[order], reply=ModelState, accepts=True)
                for order, path in PATHS.items()
            ),
        ),
    )


class Health(Struct):
    """The process lives."""

    status: str


class ModelState(Struct):
    """Where a model's engine stands; `fraction` of its load from 0 to 1."""

    id: str
    state: str
    note: str = ""
    fraction: float | None = None


class Readiness(Struct):
    """Whether requests are answered, and every model's state; `jobs` is `unavailable` while they cannot be kept."""

    status: str
    models: list[ModelState]
    jobs: str


class Operator:
    """The answers."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def alive(self, incoming: Incoming) -> Reply:
        return Reply(msgspec.json.encode(Health("healthy")))

    async def ready(self, incoming: Incoming) -> Reply:
        """200 while the server takes requests and its models answer, if need be after they were brought back.

        That is the default model, or without one every model but those that an operator has unloaded. Servers behind
        this one that are gone for now do not count while another model answers: their loss is no reason to take the
        rest out of service, and starting this server anew would not bring them back.
        """
        router = self.edge.router
        models = router.models.values()
        if router.default_model is not None:
            answers = router.find(None).standing.answers
        elif all(served.standing.withdrawn for served in models):
            answers = True
        else:
            answers = all(map(_well, models)) and any(served.standing.answers for served in models)
        ready = self.edge.lifecycle.phase == "serving" and answers
        return self._reply("ready" if ready else "not ready", 200 if ready else 503)

    async def measures(self, incoming: Incoming) -> Reply:
        fleet = self.edge.fleet
        text = self.edge.metrics.render() if fleet is None else await fleet.metrics()
        return Reply(text, headers=((b"content-type", CONTENT_TYPE.encode()),))

    async def reload(self, incoming: Incoming) -> Reply:
        """Read the configuration anew; 400 with the reason, and the old one in force, if it is refused."""
        if self.edge.reload is None:
            raise NotFound("This server has no configuration that could be read anew.")
        try:
            await self.edge.reload()
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        return self._reply("reloaded")

    def _reply(self, status: str, code: int = 200) -> Reply:
        jobs = "ready" if self.edge.jobs.well else "unavailable"
        return Reply(msgspec.json.encode(Readiness(status, self._states(), jobs)), code)

    async def order(self, order: Order, incoming: Incoming) -> Reply:
        """Carry an order out; 200 when it is done, 202 when that takes longer than a request may wait for a slot."""
        served = self.edge.router.steered(incoming.scope["path_params"]["id"])
        incoming.note_model(served.name)
        served.order(order)
        done = await self._carried_out(served, order, self.edge.config.timeouts.queue)
        return Reply(msgspec.json.encode(_state(served.name, served.standing.state)), status=200 if done else 202)

    async def _carried_out(self, served: Served, order: Order, timeout: float) -> bool:
        """Whether it is within `timeout` seconds, by every process that serves the model."""
        if self.edge.fleet is None:
            return await served.settle(order, timeout)
        own = served.settle(order, timeout)
        return all(await asyncio.gather(own, self.edge.fleet.order(served.name, order, timeout)))

    async def restart(self, incoming: Incoming) -> Reply:
        """Replace the workers one after another, without losing a request; 202: it has begun."""
        if self.edge.fleet is None:
            raise NotFound("This server has no workers that could be replaced one after another.")
        await self.edge.fleet.restart()
        return Reply(msgspec.json.encode(Health("restarting")), status=202)

    async def events(self, request: Request) -> Response:
        """Server-sent events: the state of each model now, then each change. Low-rate, so sse-starlette frames it."""
        return EventSourceResponse(self._changes(), ping=int(self.edge.config.timeouts.ping), send_timeout=30)

    async def _changes(self) -> AsyncGenerator[ServerSentEvent, None]:
        told: dict[str, ModelState] = {}
        async with aclosing(self.edge.router.changes()) as changes:
            async for _ in changes:
                for state in self._states():
                    if told.get(state.id) != state:
                        told[state.id] = state
                        yield ServerSentEvent(msgspec.json.encode(state).decode(), event="model")

    def _states(self) -> list[ModelState]:
        states = self.edge.router.states()
        return [_state(name, state) for name, state in states.items()]


def _well(served: Served) -> bool:
    """Whether this server is as it shall be, as far as that model goes."""
    standing = served.standing
    gone = served.has_upstreams and standing.state.name == "restarting"
    return standing.answers or standing.withdrawn or gone


def _state(name: str, state: State) -> ModelState:
    return ModelState(name, state.name, state.note, state.fraction)
