"""WebSockets: one ASGI endpoint class, as `wire` is for requests.

A handler is given a `Talk`, which hears messages and says some. This file owns what is the same for all: bounded waits,
the client that takes nothing or leaves, the drain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from msgspec import Struct
from starlette.types import Message, Receive, Scope, Send

from backends.errors import BackendError
from openai_proxy.errors import ClientGone, ClientSlow, EdgeError, RequestTimeout, describe
from openai_proxy.wire import ABORT_WAIT, Incoming, Wire

NORMAL, GOING_AWAY, POLICY, FAILED = 1000, 1001, 1008, 1011
LONGEST_REASON = 120

log = logging.getLogger("openai_proxy.sockets")

Converse: TypeAlias = Callable[["Talk"], Awaitable[None]]


class SocketEndpoint(Struct, frozen=True):
    """An ASGI application for one path."""

    wire: Wire
    converse: Converse

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return Talk(self, scope, receive, send).run()


class Talk:
    """One WebSocket. It runs in one task, which `stop` cancels."""

    task: asyncio.Task[None]
    stopped: EdgeError | None = None

    def __init__(self, endpoint: SocketEndpoint, scope: Scope, receive: Receive, send: Send) -> None:
        self.wire = endpoint.wire
        self.endpoint = endpoint
        self.scope = scope
        self.state: dict[str, Any] = scope["state"]
        self.receive = receive
        self.send = send

    def incoming(self, body: bytes = b"") -> Incoming:
        """What a handler of requests would have been given for this body."""
        return Incoming(body, self.state["caller"], self.state["request_id"], self.scope)

    def stop(self, error: EdgeError) -> None:
        """End it with that error; later calls do nothing."""
        if self.stopped is None:
            self.stopped = error
            self.task.cancel()

    # What a handler does

    def allow_large(self) -> None:
        """Hear messages as large as bodies may be: it is known who says them."""
        self.scope["extensions"]["openai_proxy.large"]["allow"]()

    async def hear(self, seconds: float) -> bytes:
        """The next message. Raises ClientGone, or RequestTimeout where none comes within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                message = await self.receive()
        except TimeoutError:
            raise RequestTimeout from None
        return _content(message)

    async def say(self, pieces: Iterable[bytes]) -> None:
        """Send a message of text, in UTF-8, each piece when the one before was taken. Raises ClientGone, or ClientSlow
        where a piece is not taken in time.
        """
        rest = iter(pieces)
        piece, first = next(rest, None), True
        while piece is not None:
            following = next(rest, None)
            await self._say(piece, first=first, last=following is None)
            piece, first = following, False

    async def _say(self, piece: bytes, *, first: bool, last: bool) -> None:
        try:
            async with asyncio.timeout(self.wire.config().timeouts.send):
                await self.scope["extensions"]["openai_proxy.part"]["send"](piece, first=first, last=last)
        except TimeoutError:
            self._abort()
            raise ClientSlow from None
        except OSError:
            raise ClientGone from None

    def _abort(self) -> None:
        self.scope["extensions"]["openai_proxy.abort"]["abort"]()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Stop when the client leaves meanwhile, or says something that nobody asked for."""
        watcher = self.wire.ticker.loop.create_task(self._until_heard())
        try:
            yield
        finally:
            watcher.cancel()

    async def _until_heard(self) -> None:
        await self.receive()
        self.stop(ClientGone())

    # Its life

    async def run(self) -> None:
        """Converse, whatever happens: an error ends it."""
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.wire.lifecycle.enter(self)
        try:
            await self._accept()
            await self.endpoint.converse(self)
            await self._close(NORMAL)
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            self.task.uncancel()
            await self._fail(self.stopped)
        except Exception as error:  # noqa: BLE001 - the last line of defence: logged and told, never dropped
            await self._fail(error)
        finally:
            self.wire.lifecycle.leave(self)

    async def _accept(self) -> None:
        await self.receive()  # "websocket.connect"
        await self.send({"type": "websocket.accept"})

    async def _fail(self, error: Exception) -> None:
        fault = describe(error, self.state["request_id"])
        self.state["outcome"] = fault.code
        if isinstance(error, ClientGone):
            self._abort()
            self.wire.canceled(self.state.get("model", "-"), fault.code)
            return
        if not isinstance(error, EdgeError | BackendError):
            log.error("request %s failed", self.state["request_id"], exc_info=error)
        code = GOING_AWAY if error is self.stopped else POLICY if fault.status < 500 else FAILED
        await self._close(code, fault.message)

    async def _close(self, code: int, reason: str = "") -> None:
        """End it in the client's sight. What it does not take in time is lost."""
        timeouts, loop = self.wire.config().timeouts, self.wire.ticker.loop
        loop.call_later(timeouts.send, self.scope["extensions"]["openai_proxy.abort"]["abort"])
        short = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        try:
            async with asyncio.timeout(ABORT_WAIT):
                await self.send({"type": "websocket.close", "code": code, "reason": short})
        except TimeoutError:
            self._abort()
        except OSError as error:
            log.debug("it was closed already: %s", error)


def _content(message: Message) -> bytes:
    if message["type"] == "websocket.disconnect":
        raise ClientGone
    text: str | None = message.get("text")
    return message.get("bytes") or b"" if text is None else text.encode()
