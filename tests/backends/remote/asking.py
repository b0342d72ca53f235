"""A client of bytes: what came back, how its connection ended, and what the server counted meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from tests.running import Running

SAID: Any = [{"role": "user", "content": "Hello"}]
CHAT = "/v1/chat/completions"
ROW = re.compile(r"^openai_proxy_(\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)


def post(body: dict[str, Any], path: str = CHAT, **headers: str) -> bytes:
    """A request that asks for the connection's end."""
    data = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "connection: close", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


class Got:
    """What came back until the connection's end. `clean`: the answer ended as HTTP wants it. Times are seconds."""

    def __init__(self, raw: bytes, first: float, took: float) -> None:
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.first = first
        self.took = took
        self.status = int(lines[0].split()[1]) if head else 0
        self.head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if "content-length" in self.head:
            self.body, self.clean = rest, len(rest) == int(self.head["content-length"])
        else:
            self.body, self.clean = _unchunked(rest)

    @cached_property
    def events(self) -> list[Any]:
        """What its events hold, without comments and the end mark."""
        parts = [part[6:] for part in self.body.split(b"\n\n") if part.startswith(b"data: ")]
        return [json.loads(part) for part in parts if part != b"[DONE]"]

    @property
    def done(self) -> bool:
        """Whether the end mark is there, once and last."""
        assert self.body.count(b"[DONE]") <= 1
        return self.body.endswith(b"\n\ndata: [DONE]\n\n")

    def names(self, model: str) -> bool:
        """Whether it is a whole stream of that model's."""
        return self.done and self.events[0]["model"] == model

    @property
    def chunks(self) -> list[str]:
        """The texts of a streamed chat, without empty ones."""
        choices = [choice for event in self.events for choice in event.get("choices", ())]
        return [choice["delta"]["content"] for choice in choices if choice["delta"].get("content")]

    @property
    def error(self) -> dict[str, Any] | None:
        """The error object: the whole answer, or the last event of a stream."""
        if self.head["content-type"] == "application/json":
            found = json.loads(self.body)
        else:
            found = self.events[-1] if self.events else {}
        error: dict[str, Any] | None = found.get("error")
        return error

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error["code"]


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    """The body behind the chunked coding, and whether its last chunk came."""
    pieces: list[bytes] = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(pieces), True
        pieces.append(rest[:length])
        data = rest[length + 2 :]
    return b"".join(pieces), False


class Line:
    """A connection with one request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.began = time.monotonic()
        self.first = 0.0
        self.data = b""

    async def more(self) -> bool:
        """Wait for more; False at the end, however that came."""
        try:
            piece = await self.reader.read(262_144)
        except ConnectionResetError:
            piece = b""
        self.first = self.first or time.monotonic() - self.began
        self.data += piece
        return bool(piece)

    async def until(self, mark: bytes, times: int = 1) -> None:
        while self.data.count(mark) < times:
            assert await self.more(), self.data

    async def rest(self) -> Got:
        while await self.more():
            pass
        return Got(self.data, self.first, time.monotonic() - self.began)

    def leave(self) -> float:
        """Close at once; the moment, of `time.monotonic()`."""
        now = time.monotonic()
        self.writer.transport.abort()
        return now


@asynccontextmanager
async def line(server: Running, request: bytes) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


async def got(server: Running, request: bytes) -> Got:
    async with line(server, request) as connection:
        return await connection.rest()


def asked(server: Running, model: str, *, path: str = CHAT, key: str | None = None, **fields: Any) -> Got:
    """Ask for a chat; `key` goes as Idempotency-Key."""
    body = {"model": model, **fields}
    if path == CHAT:
        body.setdefault("messages", SAID)
    headers = {} if key is None else {"idempotency_key": key}
    return asyncio.run(got(server, post(body, path, **headers)))


def metrics(server: Running) -> Counter[str]:
    """The figures by name and labels, as they stand in the text; what is not there is 0."""
    raw = asyncio.run(got(server, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    return Counter({name: float(value) for name, value in ROW.findall(raw.body.decode())})


def upstream_row(name: str, model: str, upstream: str, outcome: str | None = None) -> str:
    labels = f'model="{model}",' + (f'outcome="{outcome}",' if outcome else "") + f'upstream="{upstream}"'
    return f"upstream_{name}{{{labels}}}"


def open_descriptors(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def happens(condition: Callable[[], object], timeout: float = 5) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
