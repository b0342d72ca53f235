"""A worker's end of the sockets that lead to the supervisor, and what the worker can have it do."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

from backends import UpstreamState
from openai_proxy.company import Order, Steer
from openai_proxy.errors import Draining
from openai_proxy.image_files import Kept
from openai_proxy.logins import Login
from openai_proxy.metrics import Metrics
from openai_proxy.workers.frames import Frames, Message, What, frame
from openai_proxy.workers.sums import figures, render


class Link(asyncio.Protocol):
    """Calls `heard` with each message that is no answer, and `lost` once when the supervisor is gone."""

    def __init__(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._frames = Frames()
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._ended = asyncio.Event()

    async def open(self, own: socket.socket) -> None:
        own.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=own)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if not message.answer:
                self._heard(message)
            elif (asked := self._asked.pop(message.number, None)) is not None and not asked.done():
                asked.set_result(message.content)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended.set()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(Draining())
        self._asked.clear()
        self._lost()

    def tell(self, what: What, content: object = None) -> None:
        self._transport.write(frame(Message(what, content)))

    def answer(self, message: Message, content: object) -> None:
        self._transport.write(frame(Message(message.what, content, message.number, answer=True)))

    async def ask(self, what: What, content: object = None) -> Any:
        """What the supervisor answers. Raises that if it is an exception, and Draining when the supervisor is gone."""
        if self._ended.is_set():
            raise Draining
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._transport.write(frame(Message(what, content, number)))
        answer = await asked
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self, timeout: float) -> None:
        """Send what is unsent, for at most `timeout` seconds, then close."""
        self._transport.close()
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            self._transport.abort()


class Others:
    """The fleet as a worker sees it: it asks the supervisor, which asks the other workers."""

    def __init__(self, link: Link, metrics: Metrics) -> None:
        self._link = link
        self._metrics = metrics

    async def metrics(self) -> bytes:
        """What is told here is known to the supervisor: it must not be forgotten when this process ends."""
        return render(await self._link.ask("metrics", figures(self._metrics.registry)))

    async def order(self, name: str, order: Order, timeout: float) -> bool:
        return bool(await self._link.ask("order", (name, order, timeout)))

    async def upstreams(self, name: str, steer: tuple[Steer, str] | None = None) -> Sequence[Sequence[UpstreamState]]:
        return cast(Sequence[Sequence[UpstreamState]], await self._link.ask("upstreams", (name, steer)))

    async def image(self, name: str) -> Kept | None:
        return cast(Kept | None, await self._link.ask("image", name))

    async def login(self, session: str) -> Login | None:
        return cast(Login | None, await self._link.ask("login", session))

    async def ask(self, what: str, content: object) -> Sequence[Any]:
        return cast(Sequence[Any], await self._link.ask("ask", (what, content)))

    async def restart(self) -> None:
        await self._link.ask("restart")
