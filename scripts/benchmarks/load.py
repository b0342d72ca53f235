"""A cheap load generator: raw HTTP/1.1 over asyncio protocols. Answers are kept and checked after the clock stopped."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import cast

CHUNKED_END = b"0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
EVENT = re.compile(rb"data: (.*)\n\n")


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """A whole request; `headers` are more lines of its head."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Exchange:
    """One request's answer: raw bytes and the times (seconds of a monotonic clock) of what matters."""

    def __init__(self) -> None:
        self.sent = time.perf_counter()
        self.first = 0.0
        self.ended = 0.0
        self.parts: list[bytes] = []
        self.broken = False

    @property
    def raw(self) -> bytes:
        return b"".join(self.parts)

    def events(self) -> list[bytes]:
        """The payloads of its server-sent events, in order."""
        return EVENT.findall(unchunked(self.raw.partition(b"\r\n\r\n")[2]))

    def succeeded(self) -> bool:
        return not self.broken and self.raw.startswith(b"HTTP/1.1 200 ")


def unchunked(data: bytes) -> bytes:
    """The body behind the chunked coding."""
    pieces: list[bytes] = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(rest[:length])
        data = rest[length + 2 :] if length else b""
    return b"".join(pieces)


class Client(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.done: asyncio.Future[Exchange] | None = None
        self.awaited = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> asyncio.Future[Exchange]:
        self.exchange = Exchange()
        self.done = asyncio.get_running_loop().create_future()
        self.awaited = 0
        self.transport.write(request)
        return self.done

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if not exchange.first and (b"data: " in data or b'"content"' in data):
            exchange.first = time.perf_counter()
        exchange.parts.append(data)
        if self._complete(exchange, data):
            self._end(exchange)

    def _complete(self, exchange: Exchange, data: bytes) -> bool:
        if self.awaited == 0:
            found = CONTENT_LENGTH.search(data)
            head = data.find(b"\r\n\r\n") + 4
            self.awaited = head + int(found[1]) if found else -1
        if self.awaited > 0:
            return sum(map(len, exchange.parts)) >= self.awaited
        return data.endswith(CHUNKED_END)

    def _end(self, exchange: Exchange) -> None:
        exchange.ended = time.perf_counter()
        self.exchange = None
        if self.done is not None and not self.done.done():
            self.done.set_result(exchange)

    def connection_lost(self, error: Exception | None) -> None:
        if self.exchange is not None:
            self.exchange.broken = True
            self._end(self.exchange)


async def connect(port: int, count: int) -> list[Client]:
    """Open connections, some at a time."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < count:
        some = min(50, count - len(clients))
        opened = await asyncio.gather(*(loop.create_connection(Client, "127.0.0.1", port) for _ in range(some)))
        clients += [client for _, client in opened]
    return clients


async def closed_loop(clients: list[Client], request: bytes, count: int) -> list[Exchange]:
    """`count` requests over these connections, each asking again as soon as it is answered."""
    left = count
    answers: list[Exchange] = []

    async def worker(client: Client) -> None:
        nonlocal left
        while left > 0 and not client.transport.is_closing():
            left -= 1
            answers.append(await client.ask(request))

    await asyncio.gather(*map(worker, clients))
    return answers


async def paced(clients: list[Client], request: bytes, spread: float) -> list[Exchange]:
    """One stream a connection, their starts spread evenly over `spread` seconds."""

    async def one(number: int, client: Client) -> Exchange:
        await asyncio.sleep(spread * number / len(clients))
        return await client.ask(request)

    return await asyncio.gather(*(one(number, client) for number, client in enumerate(clients)))


async def arriving(port: int, request: bytes, count: int, spread: float) -> list[Exchange]:
    """The same with a connection opened for each stream when it starts, which counts as its own time."""

    async def one(number: int) -> Exchange:
        await asyncio.sleep(spread * number / count)
        begun = time.perf_counter()
        [client] = await connect(port, 1)
        exchange = await client.ask(request)
        exchange.sent = begun
        client.transport.close()
        return exchange

    return await asyncio.gather(*(one(number) for number in range(count)))


async def with_clients(
    port: int, count: int, work: Callable[[list[Client]], Awaitable[list[Exchange]]]
) -> list[Exchange]:
    """Do that over new connections, and close them."""
    clients = await connect(port, count)
    try:
        return await work(clients)
    finally:
        for client in clients:
            client.transport.close()
