"""HTTP/1.1 on one connection: uvicorn's protocol on httptools, with limits, timers and refusals of our own.

What uvicorn lacks: a bounded head in size and time, bounded trailers and pipelines, refusals in OpenAI's shape, a
close that lets the client read the answer, an end for clients that take nothing, `Upgrade` ignored without losing the
body where there is no WebSocket, a way to cut an answer short
(`scope["extensions"]["openai_proxy.abort"]["abort"]()`), one to send a whole answer as one write instead of two
(`scope["extensions"]["openai_proxy.whole"]["send"](status, headers, body)`), and one to send a piece without a message
and a coroutine (`scope["extensions"]["openai_proxy.piece"]["write"](body)`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backends.errors import BackendError, Overloaded
from openai_proxy.door import Door, Reason
from openai_proxy.errors import BadHead, EdgeError, HeadersTooLarge
from openai_proxy.heads import asks_for_socket, check_head, written
from openai_proxy.outlet import Header, Outlet, rendered, unsent
from openai_proxy.refusal import refusal

LINGER = 2.0
OVER_LIMIT_WAIT = 1.0
PIPELINED = 16
# Larger bodies are not copied to save a system call.
JOINED = 65_536
CLOSE = (b"connection", b"close")
ALWAYS_ANSWERED = (b"/health", b"/livez")


class Protocol(HttpToolsProtocol):
    """One connection. `door` counts it and knows the configuration, which is read when the connection begins."""

    def __init__(
        self,
        config: UvicornConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        door: Door,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        settings = door.edge.config
        self.door = door
        self.limits = settings.limits
        self.timeouts = settings.timeouts
        self.timeout_keep_alive = settings.server.keep_alive  # type: ignore[assignment]  # call_later takes fractions
        self.over: Reason | None = None
        self.active: RequestResponseCycle | None = None
        self.last = self.in_head = self.in_body = self.lingering = False
        self.held = 0
        self.resting: float | None = None
        self.url = b""
        self.problem: EdgeError | BackendError | None = None
        self.refused: EdgeError | BackendError | None = None
        self.head_timer: asyncio.TimerHandle | None = None
        self.write_timer: asyncio.TimerHandle | None = None
        self.linger_timer: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.outlet = Outlet(self.transport, self.finish)
        self.extensions: dict[str, dict[object, object]] = {
            "openai_proxy.abort": {"abort": self.abort},
            "openai_proxy.whole": {"send": self.send_whole},
            "openai_proxy.piece": {"write": self.write_piece},
        }
        self.peer = self.client[0] if self.client else ""
        self.over = self.door.enter(self.peer)
        if self.over and self.door.crowded:
            self._answer(self._over_limit(), linger=False)
            return
        wait = min(OVER_LIMIT_WAIT, self.timeouts.head) if self.over else self.timeouts.head
        self.head_timer = self.loop.call_later(wait, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self.peer, self.over)
        self._stop_timers()
        if self.active is not None and not self.active.response_complete:
            self._disconnect(self.active)
        super().connection_lost(exc)
        self.pipeline.clear()
        self.extensions = {}

    def _stop_timers(self) -> None:
        for timer in (self.head_timer, self.write_timer, self.linger_timer, self.timeout_keep_alive_task):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes(self.timeouts.send)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.write_timer is not None and not self.transport.is_closing():
            self.write_timer.cancel()
            self.write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that rests for too long. No request sets the timer anew, so it may be early."""
        self.timeout_keep_alive_task = None
        if self.resting is None:
            return
        if unsent(self.transport):
            self.resting = self.loop.time()
        left = self.resting + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self._close()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self.resting = None

    def _rest(self) -> None:
        self.resting = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def shutdown(self) -> None:
        if self.active is None or self.active.response_complete:
            self._close()
        else:
            self.active.keep_alive = False

    def retire(self) -> None:
        """Answer what runs and at most one request more, then close: a new process takes the next connections."""
        self.last = True
        if self.active is not None and not self.active.response_complete:
            self.active.keep_alive = False

    # Bytes in

    def data_received(self, data: bytes) -> None:
        if self.refused is not None or self.lingering:
            return
        self._unset_keepalive_if_required()
        self.held += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self.problem or BadHead())
        else:
            self._after_feed()

    def _after_feed(self) -> None:
        if self.held > self.limits.head_bytes:
            self._refuse(HeadersTooLarge())
        elif self.head_timer is None and self._awaits_head():
            self.head_timer = self.loop.call_later(self.timeouts.head, self._head_late)

    def _awaits_head(self) -> bool:
        idle = self.active is None or self.active.response_complete
        return self.in_head or (idle and not self.in_body and self.resting is None)

    def _upgrade(self, rest: bytes) -> None:
        """Become a WebSocket where one is asked for and served, unless an answer is still under way; `rest` follows."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        idle = self.active is None or self.active.response_complete
        if idle and not self.pipeline and asks_for_socket(method, self.url, self.headers, self.door.edge.sockets):
            self._become_socket(written(method, self.url, version, self.headers) + rest)
            return
        # As if it had not asked: the parser gave up on its body, so a new one starts again.
        plain = [header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(written(method, self.url, version, plain) + rest)

    def _become_socket(self, data: bytes) -> None:
        from openai_proxy.upgrade import take_over  # few servers ever need it

        self._stop_timers()
        take_over(self, data, self.limits.body_bytes, functools.partial(self.door.leave, self.peer, self.over))

    # The parser's callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head = True

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self.limits.request_line:
            self._fail(HeadersTooLarge("The request line is too long."))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer: nobody reads it, and it must not look like a header
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        problem: EdgeError | BackendError | None = check_head(
            self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers, self.limits
        )
        if problem is None and self.over and self.url not in ALWAYS_ANSWERED:
            problem = self._over_limit()
        if problem is None and len(self.pipeline) >= PIPELINED:
            problem = BadHead("Too many requests are sent ahead on this connection.")
        if problem is not None:
            self._fail(problem)
        self.held = 0
        self.in_head = False
        if self.parser.should_upgrade():
            return
        self.in_body = True
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        self.scope["extensions"] = self.extensions
        super().on_headers_complete()
        self.cycle.transport = self.outlet  # type: ignore[assignment]
        if self.over or self.last:
            self.cycle.keep_alive = False
        if self.scope["http_version"] == "1.0":
            self.cycle.waiting_for_100_continue = False

    def on_body(self, body: bytes) -> None:
        self.held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.held = 0
        if self.in_body:
            self.in_body = False
            super().on_message_complete()

    def _fail(self, problem: EdgeError | BackendError) -> None:
        """Stop the parser; `data_received` then refuses with this problem."""
        self.problem = problem
        raise problem

    # Requests and answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self.active is not None and self.active.more_body:
            self.finish()  # what is left of the body must not be taken for the next request
        self.server_state.total_requests += 1
        if self.lingering or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.refused is not None:
            self._answer(self.refused)
        else:
            self._rest()

    async def send_whole(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Answer the running request. The headers are our own and valid, with the body's length among them."""
        cycle = self.active
        assert cycle is not None
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        lines = [*self.server_state.default_headers, *headers]
        if CLOSE in lines or cycle.more_body:
            cycle.keep_alive = False  # what is left of a body must not be taken for the next request
        if not cycle.keep_alive and CLOSE not in lines:
            lines.append(CLOSE)
        head = rendered(status, lines)
        if len(body) <= JOINED or cycle.scope["method"] == "HEAD":
            cycle.transport.write(head if cycle.scope["method"] == "HEAD" else head + body)
        else:
            await self._write_large(head, body)
        self._complete(cycle)

    def write_piece(self, body: bytes) -> bool:
        """Write a piece of the running answer; False where it is for ASGI's `send`, which waits or knows more."""
        cycle = self.active
        if cycle is None or not cycle.chunked_encoding or cycle.disconnected or self.flow.write_paused:
            return False
        self.outlet.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    async def _write_large(self, head: bytes, body: bytes) -> None:
        """A large answer is not copied, and not done before nearly all of it is taken."""
        self.outlet.write(head)
        self.outlet.write(body)
        if self.flow.write_paused:
            await self.flow.drain()

    def _complete(self, cycle: RequestResponseCycle) -> None:
        if cycle.disconnected:
            return
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def abort(self) -> None:
        """Cut the running answer: what was sent goes out, then the connection ends without the answer's clean end."""
        if self.active is not None:
            self._disconnect(self.active)
        self._close()

    def _disconnect(self, cycle: RequestResponseCycle) -> None:
        cycle.disconnected = True
        cycle.message_event.set()

    def _refuse(self, error: EdgeError | BackendError) -> None:
        """Answer a head or body that cannot be served, once everything that came before it is answered."""
        self.refused = error
        running = self.active is not None and not self.active.response_complete
        if self.active is None or not running:
            self._answer(error)
        elif self.in_body and self.pipeline:
            self.pipeline.popleft()
        elif self.in_body:
            self._disconnect(self.active)
            if self.active.response_started:
                self._close()
            else:
                self._answer(error)

    def _over_limit(self) -> Overloaded:
        return Overloaded("The server has too many open connections; try again soon.", retry_after=2.0)

    def _answer(self, error: EdgeError | BackendError, *, linger: bool = True) -> None:
        self.refused = error
        head, body = refusal(error, self.headers or [], self.server_state.default_headers, self.peer, self.door)
        self.transport.write(head if self.url and self.parser.get_method() == b"HEAD" else head + body)
        if linger:
            self._linger()
        else:
            self._close()

    # Ends

    def finish(self) -> None:
        """Close after an answer. When the client may still be sending, only our half, so that it can read it."""
        if self.lingering or self.transport.is_closing():
            return
        if self.in_body or self.in_head:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        self.lingering = True
        self._unset_keepalive_if_required()
        if self.head_timer is not None:
            self.head_timer.cancel()
        self.transport.write_eof()
        self.flow.resume_reading()
        self.linger_timer = self.loop.call_later(LINGER, self._close)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            if self.write_timer is not None:
                self.write_timer.cancel()
            self._watch_writes(self.timeouts.send)

    def _head_late(self) -> None:
        self.head_timer = None
        if self.over and not self.transport.is_closing():
            self._answer(self._over_limit())
            return
        self.door.edge.metrics.timeouts.labels("head").inc()
        self._close()

    def _watch_writes(self, seconds: float) -> None:
        """Cut the connection if the client takes nothing for `seconds`, looking again as long as it does."""
        if self.transport.get_write_buffer_size():
            self.write_timer = self.loop.call_later(seconds, self._look_at_writes, unsent(self.transport), seconds)

    def _look_at_writes(self, before: int, seconds: float) -> None:
        self.write_timer = None
        if unsent(self.transport) >= before:
            self.door.edge.metrics.timeouts.labels("send").inc()
            self.transport.abort()
        else:
            self._watch_writes(seconds)
