"""One application: the gate, the dialects' routes and the life of the engines behind them."""

from __future__ import annotations

import gc
import pkgutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_proxy.company import Company, FindCompany
from openai_proxy.config import Config
from openai_proxy.dialects import DIALECTS, Choosing, Dialect, Edge, place_of, placed
from openai_proxy.docs import POLICY, page
from openai_proxy.gate import Gate
from openai_proxy.keys import Keys
from openai_proxy.openapi import document
from openai_proxy.wire import Incoming, Reply

# New objects after which Python looks for cycles: its own 700 are there a dozen times a second with requests that run.
YOUNG = 10_000


class Site(Starlette):
    """The routes without Starlette's two layers around them: the gate outside does their work, with our errors.

    They wrap every message that is sent, and took a tenth of a small request's time.
    """

    def build_middleware_stack(self) -> ASGIApp:
        return self.router


class Application:
    """An ASGI application. Start-up returns at once: models load behind the open port."""

    def __init__(self, config: Config, keys: Keys, company: FindCompany = Company, revision: int = 1) -> None:
        self.edge = Edge(config, keys, company)
        self.revision = revision
        self.edge.metrics.config_revision.set(self.revision)
        self.dialects = self._dialects()
        routes = [
            *(route for dialect in self.dialects for route in dialect.routes),
            Route("/openapi.json", self.edge.endpoint(self._openapi), methods=["GET"]),
            Route("/docs", self.edge.endpoint(self._docs), methods=["GET"]),
        ]
        self.edge.routes = tuple(routes)
        self.starlette = Site(routes=routes, lifespan=self._lifespan)
        self.starlette.router.redirect_slashes = False
        chosen = {each.path for each in routes if isinstance(each, Choosing)}
        fixed = [each for each in routes if isinstance(each, Route) and not each.param_convertors]
        plain = [each for each in fixed if each.path not in chosen]
        self.plain = {(method, route.path): route for route in reversed(plain) for method in route.methods or ()}
        self.gate = Gate(self._route, self.edge)

    def _dialects(self) -> list[Dialect]:
        places = {name: place_of(name, self.edge.config) for name in DIALECTS}
        served = {name: pkgutil.resolve_name(DIALECTS[name]) for name, place in places.items() if place is not None}
        dialects = [placed(build(self.edge), places[name] or "") for name, build in served.items()]
        self.edge.admits = tuple(dialect.admit for dialect in dialects if dialect.admit is not None)
        self.edge.asks = tuple(dialect.asks for dialect in dialects if dialect.asks is not None)
        return dialects

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.gate(scope, receive, send)

    def _route(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Paths without parameters are looked up; Starlette's walk through its list took a tenth of a small request."""
        route = self.plain.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            return self.starlette(scope, receive, send)
        scope["route"] = route
        return route.app(scope, receive, send)

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of all dialects, with the limits now in force."""
        return document([o for dialect in self.dialects for o in dialect.operations], self.edge.config.limits)

    def remarks(self) -> list[str]:
        """What an operator should know at the start."""
        return [remark for dialect in self.dialects for remark in dialect.remarks()]

    async def _openapi(self, _: Incoming) -> Reply:
        return Reply(msgspec.json.encode(self.document()))

    async def _docs(self, _: Incoming) -> Reply:
        headers = ((b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY.encode()))
        return Reply(page(self.document()).encode(), headers=headers)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None, None]:
        self.edge.router.start()
        self.edge.jobs.resume()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        try:
            yield
        finally:
            await self.edge.documents.close()
            await self.edge.webhooks.close()
            await self.edge.jobs.close()
            await self.edge.router.close()

    async def reload(self, config: Config, keys: Keys, revision: int | None = None) -> None:
        """Take a new, valid configuration. Raises ValueError, with the old one in force, when a backend refuses it.

        Running requests keep the engine and the limits they began with. `revision` is its number; one more than that of
        the old one if absent.
        """
        try:
            self.edge.router.reload(config)
        except ValueError:
            self.edge.metrics.config_rejected.inc()
            raise
        self.edge.config = config
        self.edge.keys = keys
        self.revision = revision or self.revision + 1
        self.edge.metrics.config_revision.set(self.revision)

    def reread(self, read: Callable[[], Awaitable[None]]) -> None:
        """Let `POST /admin/reload` call this."""
        self.edge.reload = read


def create_app(config: Config, keys: Keys, company: FindCompany = Company, revision: int = 1) -> Application:
    """The application of a configuration. Raises ValueError when a backend refuses its options.

    `revision` is the number of the configuration, more than 1 in a process that began after a reload.
    """
    return Application(config, keys, company, revision)
