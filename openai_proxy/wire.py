"""Bodies in, answers out: one ASGI endpoint class for every dialect.

A handler is given an `Incoming` and returns a `Reply` or a `Stream`. This file owns what is the same for all: reading
a bounded body, noticing that the client is gone, waiting for the first event before the status line, keep-alive
comments, the slow reader, and an error as a status or as the last event of a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from openai_proxy.auth import NOBODY, Caller
from openai_proxy.body import CLOSE, BodyTimer, check_head, read_body
from openai_proxy.errors import ClientGone, ClientSlow, EdgeError, Fault, RequestTimeout, describe
from openai_proxy.lifecycle import Lifecycle

if TYPE_CHECKING:
    from openai_proxy.config import Config

log = logging.getLogger("openai_proxy.wire")

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
PATIENCE = 1.0
UNWATCHED = 0.05
ABORT_WAIT = 1.0


class Incoming(Struct):
    """A request as a handler sees it: the whole body, who calls, and the path's parameters."""

    body: bytes
    caller: Caller
    request_id: str
    scope: Scope

    def note_model(self, name: str) -> None:
        """Say in the access log which model answers."""
        self.scope.setdefault("state", {})["model"] = name


class Reply(Struct):
    """A whole answer."""

    body: bytes
    status: int = 200
    headers: Headers = JSON


class Stream(Struct):
    """Server-sent events, framed; the last chunk ends with `DONE`. The generator is closed by the wire."""

    chunks: AsyncGenerator[bytes, None]


Handle: TypeAlias = Callable[[Incoming], Awaitable[Reply | Stream]]
RenderFault: TypeAlias = Callable[[Fault], bytes]


class ErrorBody(Struct):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str


class Envelope(Struct):
    """What every error answer looks like."""

    error: ErrorBody


def render_fault(fault: Fault) -> bytes:
    """OpenAI's error object, as JSON."""
    return msgspec.json.encode(Envelope(ErrorBody(fault.message, fault.type, fault.param, fault.code)))


def fault_headers(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The headers that tell a client whether and when to come back."""
    headers = [(b"content-type", b"application/json"), *fault.headers]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    if fault.started or fault.status == 409:
        headers.append((b"x-should-retry", b"false"))
    return headers


class Wire(Struct, frozen=True):
    """What every endpoint of a server shares. `config` is asked anew for each request: it may be reloaded."""

    config: Callable[[], Config]
    lifecycle: Lifecycle
    canceled: Callable[[str, str], None]
    timed_out: Callable[[str], None]


class Endpoint:
    """An ASGI application for one route."""

    def __init__(self, wire: Wire, handle: Handle, render: RenderFault = render_fault) -> None:
        self.wire = wire
        self.handle = handle
        self.render = render

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one loop that serves this application. Asking for it costs a system call, too much for each request."""
        return asyncio.get_running_loop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self, scope, receive, send)
        self.wire.lifecycle.enter(exchange.stop)
        try:
            await exchange.run()
        finally:
            exchange.close()
            self.wire.lifecycle.leave(exchange.stop)


class Exchange:
    """One request and its answer. Runs in one task, which `stop` cancels with an error to tell the client."""

    def __init__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        loop = endpoint.loop
        task = asyncio.current_task(loop)
        assert task is not None
        self.task = task
        self.loop = loop
        self.endpoint = endpoint
        self.scope = scope
        self.receive = receive
        self.send = send
        self.stopped: EdgeError | None = None
        self.started = False
        self.watcher: asyncio.Task[None] | None = None
        self.unwatched: asyncio.TimerHandle | None = None
        self.pulse: Pulse | None = None

    @property
    def request_id(self) -> str:
        state: dict[str, str] = self.scope.get("state", {})
        return state.get("request_id", "-")

    def stop(self, error: EdgeError) -> None:
        """End the exchange with that error; later calls do nothing."""
        if self.stopped is None:
            self.stopped = error
            self.task.cancel()

    def close(self) -> None:
        if self.unwatched is not None:
            self.unwatched.cancel()
        if self.watcher is not None:
            self.watcher.cancel()
        if self.pulse is not None:
            self.pulse.close()

    async def run(self) -> None:
        try:
            await self._answer()
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
            await self._fail(self.stopped)
        except Exception as error:  # noqa: BLE001 - the last line of defence: logged and told, never dropped
            await self._fail(error)

    async def _answer(self) -> None:
        config = self.endpoint.wire.config()
        state = self.scope.get("state", {})
        body = await self._body(config) if self.scope["method"] == "POST" else b""
        self.unwatched = self.loop.call_later(UNWATCHED, self._watch)
        incoming = Incoming(body, state.get("caller", NOBODY), self.request_id, self.scope)
        answer = await self.endpoint.handle(incoming)
        match answer:
            case Reply():
                await self._reply(answer.status, list(answer.headers), answer.body)
            case Stream():
                self.pulse = Pulse(self, config.timeouts.ping, config.timeouts.send)
                await self._pump(answer.chunks, self.pulse)

    async def _body(self, config: Config) -> bytes:
        limit = config.limits.body_bytes
        check_head(self.scope, limit)
        timer = BodyTimer(self.loop, config.timeouts, self._body_late)
        try:
            return await read_body(self.receive, limit, timer)
        finally:
            timer.close()

    def _body_late(self) -> None:
        self.endpoint.wire.timed_out("body")
        self.stop(RequestTimeout(headers=CLOSE))

    def _watch(self) -> None:
        self.watcher = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.stop(ClientGone())

    async def _reply(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        headers.append((b"content-length", b"%d" % len(body)))
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def begin(self) -> None:
        """Send the status line of a stream, once."""
        if not self.started:
            self.started = True
            await self.send({"type": "http.response.start", "status": 200, "headers": list(SSE)})

    async def _pump(self, chunks: AsyncGenerator[bytes, None], pulse: Pulse) -> None:
        send = self.send
        async with aclosing(chunks):
            async for chunk in chunks:
                if not self.started:
                    await self.begin()
                pulse.sending()
                await send({"type": "http.response.body", "body": chunk, "more_body": not chunk.endswith(DONE)})
                pulse.sent()

    async def _fail(self, error: BaseException) -> None:
        if isinstance(error, ClientGone):
            state = self.scope.setdefault("state", {})
            state["outcome"] = describe(error, self.request_id).code
            self.endpoint.wire.canceled(state.get("model", "-"), state["outcome"])
            await self._abort()
            return
        fault = describe(error, self.request_id)
        if fault.code == "internal_error":
            log.error("request %s failed", self.request_id, exc_info=error)
        self.scope.setdefault("state", {})["outcome"] = fault.code
        if not self.started:
            await self._reply(fault.status, fault_headers(fault), self.endpoint.render(fault))
            return
        if fault.code != "internal_error":
            fault = msgspec.structs.replace(fault, message=f"{fault.message} (request {self.request_id})")
        await self._tell(b"data: " + self.endpoint.render(fault) + b"\n\n")
        await self._abort()

    async def _tell(self, event: bytes) -> None:
        """The last event of a stream that failed; a client that does not take it is left without."""
        if self.pulse is not None:
            self.pulse.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ABORT_WAIT):
                await self.send({"type": "http.response.body", "body": event, "more_body": True})

    async def _abort(self) -> None:
        """Cut the connection without a clean end, so that no client takes what it has for the whole."""
        abort = self.scope.get("extensions", {}).get("openai_proxy.abort")
        if abort is None:
            return
        abort["abort"]()
        try:
            async with asyncio.timeout(ABORT_WAIT):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            log.warning("request %s: the connection did not close in time", self.request_id)


class Pulse:
    """The timer of one stream: the status line after a moment, comments in silence, the end of a slow reader."""

    def __init__(self, exchange: Exchange, ping: float, send_timeout: float) -> None:
        self.exchange = exchange
        self.loop = exchange.loop
        self.ping = ping
        self.send_timeout = send_timeout
        self._sending: float | None = None
        self._last = self.loop.time()
        self._beat: asyncio.Task[None] | None = None
        self._handle = self.loop.call_later(PATIENCE, self._look)

    def sending(self) -> None:
        self._sending = self.loop.time()

    def sent(self) -> None:
        self._last = self._sending or self._last
        self._sending = None

    def close(self) -> None:
        self._handle.cancel()
        if self._beat is not None:
            self._beat.cancel()

    def _look(self) -> None:
        now = self.loop.time()
        if self._sending is not None:
            due = self._sending + self.send_timeout
            if now >= due:
                self.exchange.stop(ClientSlow())
                return
        elif not self.exchange.started or now - self._last >= self.ping:
            self._beat = asyncio.create_task(self._comment())
            self._last = now
            due = now + self.ping
        else:
            due = self._last + self.ping
        self._handle = self.loop.call_later(min(due - now, self.ping, self.send_timeout), self._look)

    async def _comment(self) -> None:
        await self.exchange.begin()
        await self.exchange.send({"type": "http.response.body", "body": COMMENT, "more_body": True})
