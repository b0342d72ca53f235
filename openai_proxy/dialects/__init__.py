"""Dialects: thin translators between a protocol and the engines' requests.

Each is `build(edge) -> Dialect`. To add one, write a file or folder here and a line in `DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.routing import BaseRoute

from openai_proxy.company import Company, FindCompany, Fleet
from openai_proxy.config import Config
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.image_files import ImageFiles
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.openapi import Operation
from openai_proxy.router import Router
from openai_proxy.ticker import Ticker
from openai_proxy.wire import Endpoint, Handle, RenderFault, Wire, render_fault

if TYPE_CHECKING:
    from openai_proxy.keys import Keys

DIALECTS = {
    "openai": "openai_proxy.dialects.openai:build",
    "operator": "openai_proxy.dialects.operator:build",
    "upstreams": "openai_proxy.dialects.upstreams:build",
}


class Edge:
    """What a dialect is given. `config` and `keys` change when the configuration is reloaded; ask them each time.

    `fleet` is there when several processes serve together.
    """

    def __init__(self, config: Config, keys: Keys, company: FindCompany = Company) -> None:
        self.config = config
        self.keys = keys
        self.metrics = Metrics()
        self.lifecycle = Lifecycle()
        self.ticker = Ticker()
        self.router = Router(config, self.metrics, self.ticker, company)
        self.images = ImageFiles(lambda: self.config)
        self.fetcher = Fetcher(lambda: self.config, self._fetched)
        self.reload: Callable[[], Awaitable[None]] | None = None
        self.fleet: Fleet | None = None
        self.wire = Wire(lambda: self.config, self.lifecycle, self.ticker, self._canceled, self._timed_out)

    def _canceled(self, model: str, reason: str) -> None:
        self.metrics.canceled.labels(model, reason).inc()

    def _timed_out(self, timer: str) -> None:
        self.metrics.timeouts.labels(timer).inc()

    def _fetched(self, outcome: str, seconds: float, size: int) -> None:
        self.metrics.fetches.labels(outcome).inc()
        self.metrics.fetch_seconds.observe(seconds)
        self.metrics.fetched_bytes.inc(size)

    def endpoint(self, handle: Handle, render: RenderFault = render_fault, *, form: bool = False) -> Endpoint:
        """An ASGI application that answers with what `handle` returns; `form`: it takes forms with files, not JSON."""
        return Endpoint(self.wire, handle, render, form=form)


class Dialect(Struct):
    """A protocol's routes, how it shows an error, and its operations as `/openapi.json` describes them."""

    routes: tuple[BaseRoute, ...]
    render_fault: RenderFault = render_fault
    operations: tuple[Operation, ...] = ()
