"""The server: its connections, who is answered when, and how it is steered."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from openai_proxy.fake_upstream import control
from openai_proxy.fake_upstream.answers import Whole, error
from openai_proxy.fake_upstream.connection import Connection
from openai_proxy.fake_upstream.port import Port
from openai_proxy.fake_upstream.requests import Order, Request
from openai_proxy.fake_upstream.routes import PROBES, ROUTES, answer
from openai_proxy.fake_upstream.script import Script, changed, of_header
from openai_proxy.fake_upstream.seen import Record, Seen
from openai_proxy.fake_upstream.steps import Step, is_plain, plainly, steps

# Requests that fill the imagined KV cache, unless there are fewer slots.
CACHED = 1000
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Options(Struct, frozen=True):
    """How to serve. `key` is what requests must bring; a model "*" takes every name; `kept` requests are remembered.

    `refuse`: hold the port, but let nobody connect.
    """

    host: str = "127.0.0.1"
    port: int = 0
    models: tuple[str, ...] = ("fake",)
    key: str | None = None
    name: str = "fake"
    kept: int = 100
    tls: ssl.SSLContext | None = None
    refuse: bool = False
    script: Script = Script()


class FakeUpstream:
    """`await start()`; then it serves on the running loop, at `url`, until `close()`. `now` is the script in force."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.now = options.script
        self.history = Seen(options.kept)
        self.port = Port(options.host, options.port, options.tls)
        self.connections: set[Connection] = set()
        self.steering: set[Connection] = set()
        self.numbers = 0
        self.waiting: deque[tuple[Connection, Record, Iterator[Step]]] = deque()
        self.running = 0
        self.requests = 0
        self.struck = 0
        self.emptied = asyncio.Event()
        self.pause: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host = EVERYWHERE.get(self.options.host, self.options.host)
        shown = f"[{host}]" if ":" in host else host
        return f"{'http' if self.options.tls is None else 'https'}://{shown}:{self.port.number}"

    async def start(self) -> None:
        """Raises OSError."""
        self.port.hold()
        if not self.options.refuse:
            await self.port.open(self._connection)

    async def close(self) -> None:
        """End at once, with all connections."""
        if self.pause is not None:
            self.pause.cancel()
        self.port.close()
        self._cut(self.connections | self.steering)
        if self.connections | self.steering:
            await self.emptied.wait()

    # How it is steered

    def seen(self, last: int | None = None) -> dict[str, Any]:
        """What `GET /fake/seen` tells, with the `last` requests, or all that are remembered."""
        figures = {"name": self.options.name, "connections": len(self.connections)}
        return {**figures, "running": self.running, "waiting": len(self.waiting), **self.history.told(last)}

    def direct(self, values: Mapping[str, Any]) -> Script:
        """Change the script of requests that bring none. Raises ValueError."""
        new = changed(self.now, values)
        self.now = changed(new, {"down": None})
        self.struck = 0
        if new.down is not None:
            self._go_down(new.down)
        return self.now

    def reset(self) -> None:
        """Forget what was seen, and take the first script again."""
        self.history.clear()
        self.now, self.struck = self.options.script, 0

    # What connections tell

    def opened(self, connection: Connection) -> int:
        self.connections.add(connection)
        self.emptied.clear()
        self.history.opened += 1
        if self.port.server is None:
            asyncio.get_running_loop().call_soon(connection.cut)
        self.numbers += 1
        return self.numbers

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.steering.discard(connection)
        if not self.connections | self.steering:
            self.emptied.set()

    def arrived(self, connection: Connection, request: Request) -> None:
        if request.path.startswith("/fake/"):
            self._set_apart(connection)
            order = Order(request, Script(), self.options.name, ())
            connection.play(iter(plainly(order, control.answer(self, request))))
            return
        self.requests += 1
        request.number = self.requests
        order, refused = self._order(request)
        found = refused or answer(order, self.options.key, self._gauges)
        fault = order.script.fault if order.fault.name else None
        record = connection.record = self.history.begin(request, connection.number, fault or "")
        if order.script.down is not None:
            self._go_down(order.script.down)
            return
        way = iter(plainly(order, found)) if is_plain(found, order) else steps(order, found)
        if request.path not in ROUTES:
            connection.play(way)
        elif self.running >= order.script.slots:
            self.waiting.append((connection, record, way))
        else:
            self._admit(record)
            connection.play(way)

    def ended(self, record: Record, end: str) -> None:
        self.history.end(record, end)
        if record.has_slot:
            self.running -= 1
        elif self.waiting:
            self.waiting = deque(entry for entry in self.waiting if entry[1] is not record)
        while self.waiting and self.running < self.now.slots:
            connection, waited, way = self.waiting.popleft()
            self._admit(waited)
            asyncio.get_running_loop().call_soon(connection.play, way)

    def _set_apart(self, connection: Connection) -> None:
        """Connections that steer are in no figure, and outlive `down`."""
        if connection in self.connections:
            self.connections.remove(connection)
            self.steering.add(connection)
            self.history.opened -= 1

    def _admit(self, record: Record) -> None:
        record.has_slot = True
        self.running += 1

    def _order(self, request: Request) -> tuple[Order, Whole | None]:
        """The request with its script and fault; an answer if the script that it brings is wrong."""
        script, own, refused = self.now, request.header(b"x-fake"), None
        if own is not None:
            try:
                script = of_header(script, own)
            except ValueError as wrong:
                refused = Whole(error(400, f"x-fake: {wrong}", "invalid_value"), 400)
        order = Order(request, script, self.options.name, self.options.models)
        if script.fault and not refused and (request.path in ROUTES or (script.probes and request.path in PROBES)):
            self.struck += 1
            order.fault = script.active(self.struck)
        return order, refused

    def _gauges(self) -> dict[str, float]:
        return {
            "vllm:num_requests_running": self.running,
            "vllm:num_requests_waiting": len(self.waiting),
            "vllm:kv_cache_usage_perc": min(1.0, self.running / min(self.now.slots, CACHED)),
        }

    # The port

    def _connection(self) -> Connection:
        return Connection(self)

    def _go_down(self, seconds: float) -> None:
        if self.pause is not None:
            self.pause.cancel()
        self.pause = asyncio.get_running_loop().create_task(self._down(seconds))

    async def _down(self, seconds: float) -> None:
        self._cut(self.connections)
        await self.port.shut()
        await asyncio.sleep(seconds)
        await self.port.open(self._connection)

    def _cut(self, connections: Iterable[Connection]) -> None:
        for connection in list(connections):
            connection.cut()
