"""Bodies in, answers out: one ASGI endpoint class for every dialect.

A handler is given an `Incoming` and returns a `Reply`, a `Stream` or a `Flow`. This file owns what is the same for all:
reading a bounded body, noticing that the client is gone, waiting for the first event before the status line, keep-alive
comments, the slow reader, and an error as a status, as the last event of a stream or as the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.types import Receive, Scope, Send

from backends.events import Event
from openai_proxy.auth import Caller
from openai_proxy.body import CLOSE, check_head, read_body
from openai_proxy.errors import ClientGone, EdgeError, Fault, RequestTimeout, describe
from openai_proxy.faults import Shape, shape_of
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.loops import note_via
from openai_proxy.pulse import Pulse
from openai_proxy.ticker import Ticker
from openai_proxy.traces import note_trace

if TYPE_CHECKING:
    from openai_proxy.config import Config

log = logging.getLogger("openai_proxy.wire")

Header: TypeAlias = tuple[bytes, bytes]
Headers: TypeAlias = tuple[Header, ...]
JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
WHOLE, PIECE = "openai_proxy.whole", "openai_proxy.piece"
UNWATCHED = 0.05
SLOWEST = 1000.0
ABORT_WAIT = 1.0


class Incoming(Struct):
    """A request as a handler sees it: the whole body, who calls, and the path's parameters."""

    body: bytes
    caller: Caller
    request_id: str
    scope: Scope

    @property
    def content_type(self) -> bytes:
        """What the body says it is."""
        head: Mapping[bytes, bytes] = self.scope["state"]["head"]
        return head.get(b"content-type", b"")

    @property
    def repeatable(self) -> bool:
        """Whether the client says, by an Idempotency-Key, that it may be answered twice."""
        head: Mapping[bytes, bytes] = self.scope["state"]["head"]
        return b"idempotency-key" in head

    def root(self, public_url: str | None) -> str:
        """Where this client reaches the server, unless the settings say where clients do."""
        if public_url is not None:
            return public_url
        host: bytes | None = self.scope["state"]["head"].get(b"host")
        name = "{}:{}".format(*self.scope["server"]) if host is None else host.decode("latin-1")
        return f"{self.scope['scheme']}://{name}"

    def note_model(self, name: str) -> None:
        """Say in the access log which model answers."""
        self.scope["state"]["model"] = name


class Reply(Struct):
    """A whole answer."""

    body: bytes
    status: int = 200
    headers: Headers = JSON


class Frames(Protocol):
    """Turns events into server-sent events. An event that says nothing gives no bytes; `end` comes after the last."""

    def render(self, event: Event) -> bytes: ...
    def end(self) -> bytes: ...


class Stream(Struct):
    """An answer as server-sent events. The generator is closed by the wire."""

    events: AsyncGenerator[Event, None]
    frames: Frames
    headers: Headers = SSE


class Flow(Struct):
    """An answer as bytes that go out as they are made: a sound, or events that are written already (`headers` are SSE).

    Where they are no events, nothing can stand between them: no head is sent before the first bytes, so that an error
    until then has a status, there are no comments, and an error after that cuts the connection. The generator is closed
    by the wire.
    """

    pieces: AsyncGenerator[bytes, None]
    headers: Headers = SSE


Handle: TypeAlias = Callable[[Incoming], Awaitable[Reply | Stream | Flow]]
RenderFault: TypeAlias = Callable[[Fault], bytes]
Showing: TypeAlias = RenderFault | Shape


class ErrorBody(Struct):
    """OpenAI's error object; and for whom no slot was free the place in the queue and the probable wait in seconds."""

    message: str
    type: str
    param: str | None
    code: str
    queue_position: int | UnsetType = UNSET
    estimated_wait: float | UnsetType = UNSET


class Envelope(Struct):
    """What every error answer looks like."""

    error: ErrorBody


def render_fault(fault: Fault) -> bytes:
    """OpenAI's error object, as JSON."""
    error = ErrorBody(fault.message, fault.type, fault.param, fault.code)
    if fault.queue_position is not None:
        error.queue_position = fault.queue_position
        error.estimated_wait = round(fault.estimated_wait or 0.0, 1)
    return msgspec.json.encode(Envelope(error))


def fault_headers(fault: Fault, media_type: bytes = b"application/json") -> list[tuple[bytes, bytes]]:
    """The headers that tell a client whether and when to come back."""
    headers = [(b"content-type", media_type), *fault.headers]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    if fault.started or fault.status == 409:
        headers.append((b"x-should-retry", b"false"))
    return headers


def send_whole(scope: Scope, send: Send, status: int, headers: Iterable[Header], body: bytes) -> Awaitable[None]:
    """Answer with a body whose length is known; as one message where the server can."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    if WHOLE in scope.get("extensions", ()):
        return send({"type": WHOLE, "status": status, "headers": headers, "body": body})
    return _send_in_two(send, status, headers, body)


async def _send_in_two(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Wire(Struct, frozen=True):
    """What every endpoint of a server shares. `config` is asked anew for each request: it may be reloaded."""

    config: Callable[[], Config]
    lifecycle: Lifecycle
    ticker: Ticker
    canceled: Callable[[str, str], None]
    timed_out: Callable[[str], None]


class Endpoint(Struct, frozen=True):
    """An ASGI application for one route; bodies are forms with files if `form`, forms as well as JSON if `fields`."""

    wire: Wire
    handle: Handle
    render: Showing = render_fault
    form: bool = False
    fields: bool = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return Exchange(self, scope, receive, send).run()


class Exchange:
    """One request and its answer. Runs in one task, which `stop` cancels with an error to tell the client."""

    task: asyncio.Task[None]
    stopped: EdgeError | None = None
    started = False
    body_due: float | None = None
    watcher: asyncio.Task[None] | None = None
    pulse: Pulse | None = None
    headers: Headers = SSE

    def __init__(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        self.wire = endpoint.wire
        self.endpoint = endpoint
        self.scope = scope
        self.state: dict[str, Any] = scope["state"]
        self.receive = receive
        self.send = send
        self.began = time.monotonic()

    @property
    def request_id(self) -> str:
        identity: str = self.state["request_id"]
        return identity

    def stop(self, error: EdgeError) -> None:
        """End the exchange with that error; later calls do nothing."""
        if self.stopped is None:
            self.stopped = error
            self.task.cancel()

    async def run(self) -> None:
        """Answer, whatever happens: an error is told, not raised."""
        wire = self.wire
        task = asyncio.current_task(wire.ticker.loop)
        assert task is not None
        self.task = task
        wire.ticker.add(self)
        wire.lifecycle.enter(self)
        try:
            config, state = wire.config(), self.state
            head = state["head"]
            if b"via" in head:
                note_via(head[b"via"])
            note_trace(state["request_id"], head)
            body = await self._body(config) if self.scope["method"] in ("POST", "PUT") else b""
            answer = await self.endpoint.handle(Incoming(body, state["caller"], state["request_id"], self.scope))
            if isinstance(answer, Reply):
                self.started = True
                await send_whole(self.scope, self.send, answer.status, answer.headers, answer.body)
            else:
                await self._stream(answer, config)
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
            await self._fail(self.stopped)
        except Exception as error:  # noqa: BLE001 - the last line of defence: logged and told, never dropped
            await self._fail(error)
        finally:
            wire.ticker.discard(self)
            wire.lifecycle.leave(self)
            if self.watcher is not None:
                self.watcher.cancel()
            if self.pulse is not None:
                self.pulse.close()

    async def _stream(self, answer: Stream | Flow, config: Config) -> None:
        self.headers = answer.headers
        self.pulse = Pulse(self, config.timeouts.ping, config.timeouts.send, comments=self._in_events)
        # A task of its own: a chunk then wakes a few frames, not all those of the layers above us.
        self.task = self.wire.ticker.loop.create_task(self._pump(answer, self.pulse))
        await self.task

    async def _body(self, config: Config) -> bytes:
        form = self.endpoint.form
        limit = config.limits.upload_bytes if form else config.limits.body_bytes
        check_head(self.state["head"], limit, form=form, fields=self.endpoint.fields)
        self.body_due = self.began + config.timeouts.body_first
        try:
            return await read_body(self.receive, limit, self._received)
        finally:
            self.body_due = None

    def _received(self, size: int) -> None:
        """`size` bytes of the body are there, and more are to come: a slow sender has 1 kB a second, within a bound."""
        timeouts = self.wire.config().timeouts
        self.body_due = self.began + min(timeouts.body_first + size / SLOWEST, timeouts.body)

    def look(self, now: float) -> None:
        """Act on what is due: a late body, the watch for the client's leaving, the stream's silence."""
        if self.body_due is not None:
            if now >= self.body_due:
                self.wire.timed_out("body")
                self.stop(RequestTimeout(headers=CLOSE))
        elif self.watcher is None and now >= self.began + UNWATCHED:
            self.watcher = self.wire.ticker.loop.create_task(self._until_gone())
        if self.pulse is not None:
            self.pulse.look(now)

    async def _until_gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.stop(ClientGone())

    async def begin(self) -> None:
        """Send the status line of a stream, once."""
        if not self.started:
            self.started = True
            await self.send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})

    @property
    def _in_events(self) -> bool:
        """Whether what is streamed are server-sent events."""
        return SSE[0] in self.headers

    async def comment(self) -> None:
        """Show the client of a stream that there is still somebody."""
        await self.begin()
        await self.send({"type": "http.response.body", "body": COMMENT, "more_body": True})

    async def _pump(self, answer: Stream | Flow, pulse: Pulse) -> None:
        send, write = self.send, self._writer()
        stream, render, end = _parts(answer)
        async with aclosing(stream) as events:
            async for event in events:
                chunk = render(event)
                if chunk:
                    if not self.started:
                        await self.begin()
                    if write is not None and write(chunk):
                        pulse.wrote = True
                        continue
                    pulse.sending()
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    pulse.sent()
        last = end()
        await self.begin()
        pulse.sending()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _writer(self) -> Callable[[bytes], bool] | None:
        """What writes a piece at once where it can, if this server has that."""
        piece = self.scope.get("extensions", {}).get(PIECE)
        return None if piece is None or self.scope["method"] == "HEAD" else piece["write"]

    async def _fail(self, error: BaseException) -> None:
        if isinstance(error, ClientGone):
            outcome = self.state["outcome"] = describe(error, self.request_id).code
            self.wire.canceled(self.state.get("model", "-"), outcome)
            await self._abort()
            return
        fault = describe(error, self.request_id)
        if fault.code == "internal_error":
            log.error("request %s failed", self.request_id, exc_info=error)
        self.state["outcome"] = fault.code
        shape = shape_of(self.endpoint.render)
        fault = shape.reword(fault)
        if not self.started:
            self.started = True
            headers, body = fault_headers(fault, shape.media_type), shape.render(fault)
            await send_whole(self.scope, self.send, fault.status, headers, body)
            return
        if self.pulse is None or not self._in_events:  # a whole answer, or a sound: no place in it for an error
            await self._abort()
            return
        if fault.code != "internal_error":
            fault = msgspec.structs.replace(fault, message=f"{fault.message} (request {self.request_id})")
        await self._tell(b"data: " + shape.render(fault) + b"\n\n")
        await self._abort()

    async def _tell(self, event: bytes) -> None:
        """The last event of a stream that failed; a client that does not take it is left without."""
        if self.pulse is not None:
            self.pulse.close()
            self.pulse = None
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


def _parts(answer: Stream | Flow) -> tuple[AsyncGenerator[Any, None], Callable[[Any], bytes], Callable[[], bytes]]:
    """What comes, how it is written, and what comes after the last."""
    if isinstance(answer, Flow):
        return answer.pieces, bytes, bytes
    return answer.events, answer.frames.render, answer.frames.end
