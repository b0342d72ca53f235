"""Dialects: thin translators between a protocol and the engines' requests.

Each is `build(edge) -> Dialect`. To add one, write a file or folder here and a line in `DIALECTS`.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct, structs
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Scope

from openai_proxy.accounts import Accounts
from openai_proxy.auth import Caller
from openai_proxy.bodies.asking import Asking
from openai_proxy.company import Company, FindCompany, Fleet
from openai_proxy.config import Config
from openai_proxy.documents.documents import Documents
from openai_proxy.errors import NotFound
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.image_files import ImageFiles
from openai_proxy.jobs.opening import jobs_of
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.logins import GRADIO, Logins
from openai_proxy.metrics import Metrics
from openai_proxy.openapi import Operation
from openai_proxy.router import Router
from openai_proxy.sockets import Converse, SocketEndpoint
from openai_proxy.ticker import Ticker
from openai_proxy.webhooks.webhooks import Webhooks
from openai_proxy.wire import Endpoint, Flow, Handle, Incoming, Reply, Showing, Stream, Wire, render_fault

if TYPE_CHECKING:
    from openai_proxy.keys import Keys

Takes: TypeAlias = Callable[[Scope, Mapping[str, Any]], bool]
Admit: TypeAlias = Callable[[Scope, Mapping[bytes, bytes]], Caller | None]

# What comes later gets only the paths that those before it left.
DIALECTS = {
    "predictions": "openai_proxy.dialects.predictions:build",
    "openai": "openai_proxy.dialects.openai:build",
    "vector_stores": "openai_proxy.dialects.vector_stores:build",
    "operator": "openai_proxy.dialects.operator:build",
    "upstreams": "openai_proxy.dialects.upstreams:build",
    "jobs": "openai_proxy.dialects.jobs:build",
    "gradio": "openai_proxy.dialects.gradio:build",
    "infernet": "openai_proxy.dialects.infernet:build",
    "aime": "openai_proxy.dialects.aime:build",
}


class Edge:
    """What a dialect is given. `config` and `keys` change when the configuration is reloaded; ask them each time.

    `fleet` is there when several processes serve together, `routes` are those of all dialects, once all are built.
    """

    def __init__(self, config: Config, keys: Keys, company: FindCompany = Company) -> None:
        self.config = config
        self.keys = keys
        self.metrics = Metrics()
        self.lifecycle = Lifecycle()
        self.ticker = Ticker()
        self.router = Router(config, self.metrics, self.ticker, company)
        self.images = ImageFiles(lambda: self.config)
        self.logins = Logins(lambda: self.config)
        self.sessions = Logins(lambda: self.config, manner=GRADIO)
        self.accounts = Accounts(lambda: self.config, others=partial(self.others, "tries"))
        self.fetcher = Fetcher(lambda: self.config, self._fetched)
        self.asking = Asking(self.router, self.fetcher, lambda: self.config)
        self.jobs = jobs_of(self.router, self.lifecycle, self.metrics, lambda: self.config)
        # What the others of a fleet are told, by a name, of what is kept in this process; None: nothing.
        self.answering: dict[str, Callable[[Any], Any]] = {"session": self.sessions.find, "tries": self.accounts.tried}
        self.documents = Documents(self.router, lambda: self.config)
        self.webhooks = Webhooks(self.jobs, self.metrics, lambda: self.config)
        self.reload: Callable[[], Awaitable[None]] | None = None
        self.fleet: Fleet | None = None
        self.admits: tuple[Admit, ...] = ()
        self.asks: tuple[Callable[[Scope], bool], ...] = ()
        self.routes: tuple[BaseRoute, ...] = ()
        self.wire = Wire(lambda: self.config, self.lifecycle, self.ticker, self._canceled, self._timed_out)

    async def others(self, what: str, content: object) -> Sequence[Any]:
        """What each of the other processes answers by what it has in `answering`; None for one that did not in time."""
        return () if self.fleet is None else await self.fleet.ask(what, content)

    def _canceled(self, model: str, reason: str) -> None:
        self.metrics.canceled.labels(model, reason).inc()

    def _timed_out(self, timer: str) -> None:
        self.metrics.timeouts.labels(timer).inc()

    def _fetched(self, outcome: str, seconds: float, size: int) -> None:
        self.metrics.fetches.labels(outcome).inc()
        self.metrics.fetch_seconds.observe(seconds)
        self.metrics.fetched_bytes.inc(size)

    def endpoint(
        self, handle: Handle, render: Showing = render_fault, *, form: bool = False, fields: bool = False
    ) -> Endpoint:
        """An ASGI application that answers with what `handle` returns; `form`: it takes forms with files, not JSON,
        `fields`: any form as well as JSON.
        """
        return Endpoint(self.wire, handle, render, form=form, fields=fields)

    def socket(self, converse: Converse) -> SocketEndpoint:
        """An ASGI application for a WebSocket, whose conversation is `converse`."""
        return SocketEndpoint(self.wire, converse)

    @property
    def sockets(self) -> frozenset[str]:
        """The paths of WebSockets."""
        return frozenset(route.path for route in self.routes if isinstance(route, WebSocketRoute))

    async def passed_on(self, incoming: Incoming) -> Reply | Stream | Flow:
        """What the next dialect answers that has the same path: the body says that it is meant. Raises NotFound."""
        scope = incoming.scope
        for route in self.routes[self.routes.index(scope["route"]) + 1 :]:
            match, found = route.matches(scope)
            if match is Match.FULL and isinstance(route, Route) and isinstance(route.app, Endpoint):
                scope.update(found, route=route)
                return await route.app.handle(incoming)
        raise NotFound


class Choosing(Route):
    """A route that takes only requests of which it says so, by their scope and the path's parameters: others may have
    the same path.
    """

    def __init__(self, path: str, app: ASGIApp, methods: Collection[str], takes: Takes) -> None:
        super().__init__(path, app, methods=methods)
        self.takes = takes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        mine = match is not Match.NONE and self.takes(scope, found["path_params"])
        return (match, found) if mine else (Match.NONE, {})


class Dialect(Struct):
    """A protocol's routes, and its operations as `/openapi.json` describes them.

    A protocol whose clients carry their keys elsewhere than in a header, or have none, says by `admit` who may come in
    without one: given a request's scope and head, the caller, whose key its handler then checks, or None. Where its
    clients have accounts elsewhere than in HTTP Basic, it says by `asks` for which requests `edge.accounts` is asked.
    `remarks` are what an operator should know of it at the start, once all dialects are built.
    """

    routes: tuple[BaseRoute, ...]
    operations: tuple[Operation, ...] = ()
    admit: Admit | None = None
    asks: Callable[[Scope], bool] | None = None
    remarks: Callable[[], Iterable[str]] = tuple


def place_of(name: str, config: Config) -> str | None:
    """The path below which a dialect is served, "" for its own paths; None: it is switched off."""
    place: bool | str = getattr(config.protocols, name, True)
    return (place if isinstance(place, str) else "") if place else None


def placed(dialect: Dialect, prefix: str) -> Dialect:
    """The dialect with all of its paths below `prefix`."""
    if not prefix:
        return dialect
    routes = [_placed(each, prefix) for each in dialect.routes if isinstance(each, Route | WebSocketRoute)]
    operations = [structs.replace(each, path=prefix + each.path) for each in dialect.operations]
    return structs.replace(dialect, routes=tuple(routes), operations=tuple(operations))


def _placed(route: Route | WebSocketRoute, prefix: str) -> Route | WebSocketRoute:
    """The same kind of route below `prefix`."""
    moved = copy.copy(route)
    moved.path = prefix + route.path
    moved.path_regex, moved.path_format, moved.param_convertors = compile_path(moved.path)
    return moved


def segments(routes: Iterable[BaseRoute], place: str = "") -> frozenset[str]:
    """What the paths of these routes begin with below `place`, as far as that is fixed."""
    paths = [route.path.removeprefix(place + "/") for route in routes if isinstance(route, Route)]
    beginnings = {path.partition("/")[0] for path in paths}
    return frozenset(each for each in beginnings if each and not each.startswith("{"))
