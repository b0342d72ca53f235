"""The Gradio API of h2oGPT's server, for gradio_client from 0.6.1 on and for curl, without Gradio.

Source: https://github.com/h2oai/h2ogpt (docs/README_CLIENT.md, src/gradio_runner.py), and what gradio_client 2.7.2,
1.0.2 and 0.6.1 do. Every event is a job of the job layer, or several.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
from msgspec import structs
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import Scope

from openai_proxy.auth import STRANGER, Caller
from openai_proxy.dialects import Choosing, Dialect, Edge, place_of
from openai_proxy.dialects.gradio.callers import NOT_LOGGED_IN, UNKNOWN_BODY, Callers, has_cookie
from openai_proxy.dialects.gradio.calls import Calls
from openai_proxy.dialects.gradio.described import NAMES, OPERATIONS, PREFIX, config, info
from openai_proxy.dialects.gradio.direct import Direct
from openai_proxy.dialects.gradio.queue import Queue
from openai_proxy.errors import Fault
from openai_proxy.faults import Shape
from openai_proxy.wire import Endpoint, Incoming, Reply

Answer: TypeAlias = Callable[[Incoming], Awaitable[Any]]

# Parameters of `/info` by which gradio_client asks.
ASKED = (b"serialize", b"all_endpoints")
# What stands for the API name where its number is in the body.
NUMBERED = "predict"


def render_fault(fault: Fault) -> bytes:
    """An error as Gradio's server tells it."""
    return msgspec.json.encode({"detail": fault.message, "error": fault.message})


def reworded(fault: Fault) -> Fault:
    """Clients know a queue that is full by its status."""
    return structs.replace(fault, status=503) if fault.code == "queue_full" else fault


SHAPE = Shape(render_fault, reword=reworded)


def build(edge: Edge) -> Dialect:
    """The routes, at the root and below the prefix by which newer clients ask."""
    routes = tuple(Gradio(edge).routes())
    place = place_of("gradio", edge.config) or ""

    def mine(scope: Scope) -> bool:
        """Whether a request comes to one of these routes."""
        path: str = scope["path"]
        within = {**scope, "path": path.removeprefix(place)}
        return path.startswith(place) and any(route.matches(within)[0] is Match.FULL for route in routes)

    return Dialect(
        routes=routes,
        operations=OPERATIONS,
        admit=lambda scope, head: _admitted(edge, mine, scope, head),
        asks=mine,
    )


class Gradio:
    """What there is, and how it is asked for."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.callers = Callers(edge)
        self.calls = Calls(edge, self.callers)
        self.queue = Queue(edge, self.callers, self.calls)
        self.direct = Direct(edge, self.calls)

    def routes(self) -> list[BaseRoute]:
        """Each route of the queue twice: gradio_client 2 asks below the prefix, 1.0.2 at the root."""
        queue, direct = self.queue, self.direct
        routes: list[BaseRoute] = [
            Route("/config", self._open(self.config), methods=["GET"]),
            Choosing("/info", self._open(self.info), ["GET"], _asks_for_info),
            Route(f"{PREFIX}/info", self._open(self.info), methods=["GET"]),
            Route("/login", self._open(self.callers.login), methods=["POST"]),
            WebSocketRoute("/queue/join", self.edge.socket(direct.converse)),
            Route("/api/predict/", self._endpoint(partial(direct.called, None)), methods=["POST"]),
            self._by_name("/run/{api_name}", direct.called),
            self._by_name(f"{PREFIX}/call/{{api_name}}", queue.call),
            Route(f"{PREFIX}/call/{{api_name}}/{{event_id}}", self._endpoint(queue.called), methods=["GET"]),
        ]
        for at in ("", PREFIX):
            routes += [
                Route(f"{at}/queue/join", self._endpoint(queue.join), methods=["POST"]),
                Route(f"{at}/queue/data", self._endpoint(queue.data), methods=["GET"]),
                Route(f"{at}/cancel", self._endpoint(queue.cancel), methods=["POST"]),
                Route(f"{at}/reset", self._endpoint(queue.cancel), methods=["POST"]),
                Route(f"{at}/heartbeat/{{session_hash}}", self._open(queue.heartbeat), methods=["GET"]),
                self._by_name(f"{at}/api/{{api_name}}", direct.called),
            ]
        return routes

    def _by_name(self, path: str, answer: Callable[[str | None, Incoming], Awaitable[Any]]) -> Choosing:
        """A route for the API names; others are other protocols'."""

        async def handle(incoming: Incoming) -> Any:
            name: str = incoming.scope["path_params"]["api_name"]
            return await answer(None if name == NUMBERED else name, incoming)

        return Choosing(path, self._endpoint(handle), ["POST"], _is_api_name)

    def _endpoint(self, handle: Answer) -> Endpoint:
        return self.edge.endpoint(self.callers.guarded(handle), SHAPE)

    def _open(self, handle: Answer) -> Endpoint:
        """For everybody, who may send a form."""
        return self.edge.endpoint(handle, SHAPE, fields=True)

    async def config(self, incoming: Incoming) -> Reply:
        """What there is to call; 401 where a login is needed first."""
        return await self._told(incoming, config())

    async def info(self, incoming: Incoming) -> Reply:
        """The same for people."""
        return await self._told(incoming, info())

    async def _told(self, incoming: Incoming, body: bytes) -> Reply:
        if not await self.callers.may_look(incoming):
            return Reply(msgspec.json.encode(NOT_LOGGED_IN), 401)
        return Reply(body)


def _is_api_name(scope: Scope, params: Mapping[str, Any]) -> bool:
    return params["api_name"] in (*NAMES, NUMBERED)


def _asks_for_info(scope: Scope, params: Mapping[str, Any]) -> bool:
    """Whether this is gradio_client, and not another protocol that has the same path."""
    names = {pair.partition(b"=")[0] for pair in scope["query_string"].split(b"&")}
    return not names.isdisjoint(ASKED)


def _admitted(edge: Edge, mine: Callable[[Scope], bool], scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
    """This protocol's clients have their keys in cookies or dicts. Of who has shown neither a small body is read."""
    if not mine(scope):
        return None
    length = head.get(b"content-length", b"0")
    small = length.isdigit() and int(length) <= UNKNOWN_BODY and b"transfer-encoding" not in head
    return STRANGER if small or has_cookie(edge, head) else None
