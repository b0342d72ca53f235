"""What `relay` asks of a gateway, and what one run of that shows."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import zlib
from functools import lru_cache
from typing import Any

import msgspec
from figures import percentile
from gateways import KEY, MODEL
from load import Client, Exchange, arriving, closed_loop, connect, paced, post
from msgspec import Struct
from pinned import Pinned

# The starts of paced streams are spread over so many seconds: all at once would measure little but starting.
SPREAD = 1.0
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
HEADERS = f"authorization: Bearer {KEY}\r\n"
# The characters of a prompt that makes a request of some 1.2 kB.
PROMPT = 1100
SIDE = 1430
INPUTS, DIMENSIONS = 128, 1536
PLAIN_CHUNKS = 16


class Case(Struct, frozen=True):
    """`width` connections; `count` requests in all, one a connection where it is 0. Streams have `chunks`, `delay`
    seconds apart; without a delay `batch` of them come in one write. `fresh` streams each open a connection.
    """

    name: str
    width: int
    count: int = 0
    chunks: int = 0
    delay: float = 0.0
    batch: int = 1
    path: str = CHAT
    model: str = MODEL
    picture: bool = False
    fresh: bool = False

    @property
    def requests(self) -> int:
        return self.count or self.width

    @property
    def units(self) -> int:
        """Chunks of all streams, or plain requests."""
        return self.requests * (self.chunks or 1)

    @property
    def script(self) -> dict[str, Any]:
        """What the upstream has to do."""
        return {"chunks": self.chunks or PLAIN_CHUNKS, "delay": self.delay, "batch": self.batch}

    def request(self) -> bytes:
        return _request(self.path, self.model, self.picture, bool(self.chunks))


class Run(Struct):
    """One case once. `cpu` and `time` are microseconds for a chunk or a plain request; `first` and `last` are ms from
    sending to the first and to the last byte, `late` what the last is behind the pace; `reads` a chunk, at the client.
    """

    errors: int
    cpu: float
    time: float
    first: float
    last: float
    slowest: float
    late: float
    reads: float
    grown: float


@lru_cache(maxsize=8)
def _request(path: str, model: str, picture: bool, stream: bool) -> bytes:
    body: dict[str, Any] = {"model": model}
    if path == EMBEDDINGS:
        body |= {"input": [f"text {number}" for number in range(INPUTS)], "dimensions": DIMENSIONS}
    else:
        parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": _picture()}}]
        content = parts if picture else "word " * (PROMPT // 5)
        body |= {"messages": [{"role": "user", "content": content}], "max_tokens": 1000, "temperature": 0.7}
    if stream:
        body["stream"] = True
    return post(path, json.dumps(body, separators=(",", ":")).encode(), HEADERS)


@lru_cache(maxsize=1)
def _picture() -> str:
    """8 MB of a PNG: noise, which nothing makes smaller."""
    rows = b"".join(b"\0" + os.urandom(SIDE * 3) for _ in range(SIDE))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 0)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(data).decode()


async def measure(server: Pinned, case: Case) -> Run:
    """Ask, and check every answer after the clock stopped."""
    request = case.request()
    clients = [] if case.fresh else await connect(server.port, case.width)
    await asyncio.sleep(0.05)
    memory, cpu, begun = server.memory(), server.cpu(), asyncio.get_running_loop().time()
    exchanges = await _load(server, case, clients, request)
    took, cpu = asyncio.get_running_loop().time() - begun, server.cpu() - cpu
    grown = server.memory() - memory
    for client in clients:
        client.transport.close()
    firsts = [(each.first - each.sent) * 1000 for each in exchanges]
    lasts = [(each.ended - each.sent) * 1000 for each in exchanges]
    ideal = (case.chunks - 1) * case.delay * 1000
    return Run(
        errors=sum(not right(each, case) for each in exchanges) + case.requests - len(exchanges),
        cpu=cpu / case.units * 1e6,
        time=took / case.units * 1e6,
        first=percentile(firsts, 0.5),
        last=percentile(lasts, 0.5),
        slowest=percentile(lasts, 0.99),
        late=percentile(lasts, 0.5) - ideal,
        reads=sum(len(each.parts) for each in exchanges) / case.units,
        grown=grown,
    )


async def _load(server: Pinned, case: Case, clients: list[Client], request: bytes) -> list[Exchange]:
    if case.fresh:
        return await arriving(server.port, request, case.width, SPREAD)
    if case.delay:
        return await paced(clients, request, SPREAD)
    return await closed_loop(clients, request, case.requests)


async def direct(upstream: Pinned, script: dict[str, Any]) -> None:
    """Tell the upstream what to do from now on."""
    [client] = await connect(upstream.port, 1)
    exchange = await client.ask(post("/fake/script", json.dumps(script).encode()))
    client.transport.close()
    if not exchange.succeeded():
        raise SystemExit(f"the upstream does not take its script: {exchange.raw.decode()}")


async def held(server: Pinned, case: Case) -> tuple[float, int]:
    """What one of many held streams adds to resident memory, in kB, and the errors among them."""
    before = server.memory()
    clients = await connect(server.port, case.width)
    running = asyncio.ensure_future(paced(clients, case.request(), SPREAD))
    await asyncio.sleep(case.chunks * case.delay * 0.6)
    added = (server.memory() - before) / case.width
    exchanges = await running
    for client in clients:
        client.transport.close()
    return added, sum(not right(each, case) for each in exchanges)


def right(exchange: Exchange, case: Case) -> bool:
    """Whether an answer is complete: every mark in order, under the name that was asked for, one end."""
    if not exchange.succeeded():
        return False
    if case.chunks:
        events = exchange.events()
        if not events or events.pop() != b"[DONE]":
            return False
        chunks = [msgspec.json.decode(event) for event in events]
        deltas = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
        named = all(chunk["model"] == case.model for chunk in chunks)
        return named and "".join(filter(None, deltas)) == _marks(case.chunks)
    body = msgspec.json.decode(exchange.raw.partition(b"\r\n\r\n")[2])
    if case.path == EMBEDDINGS:
        return [item["embedding"][0] for item in body["data"]] == list(range(INPUTS))
    said: str = body["choices"][0]["message"]["content"]
    return said == _marks(PLAIN_CHUNKS)


def _marks(count: int) -> str:
    return "".join(f"{number:07d} " for number in range(count))
