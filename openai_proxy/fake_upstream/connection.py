"""One connection: requests come in, the steps of their answers go out, one answer at a time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol, cast
from urllib.parse import unquote

import httptools

from openai_proxy.fake_upstream.requests import Request
from openai_proxy.fake_upstream.seen import Record
from openai_proxy.fake_upstream.steps import Ending, Step

LARGEST = 268_435_456
PIPELINED = 32
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
# Closing resets the connection and forgets what has not been sent.
AT_ONCE = struct.pack("ii", 1, 0)


class Host(Protocol):
    """What connections belong to."""

    def opened(self, connection: Connection) -> int:
        """The connection's number."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def arrived(self, connection: Connection, request: Request) -> None:
        """Have it answered: now or later, `connection.play` is called."""
        ...

    def ended(self, record: Record, end: str) -> None:
        """An answer is over; see Record."""
        ...


class Connection(asyncio.Protocol):
    """`number` counts connections from 1."""

    transport: asyncio.Transport

    def __init__(self, host: Host) -> None:
        self.host = host
        self.number = 0
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.pending: deque[Request] = deque()
        self.answering = False
        self.record: Record | None = None
        self.steps: Iterator[Step] | None = None
        self.timer: asyncio.Handle | None = None
        self.due = 0.0
        self.full = False
        self.is_cut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.number = self.host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self.pending.clear()
        if self.record is not None:
            self.host.ended(self.record, "cut" if self.is_cut else "aborted")
            self.record = None
        self.host.closed(self)

    # What the parser finds

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # it is answered as any other request
        except httptools.HttpParserError:
            self._refuse(NOT_HTTP)

    def on_message_begin(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.size = 0

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if (b"expect", b"100-continue") in self.headers and not self.answering:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)
        self.size += len(body)
        if self.size > LARGEST:
            self._refuse(TOO_LARGE)

    def on_message_complete(self) -> None:
        path, _, query = self.target.decode("latin-1").partition("?")
        modern = self.parser.get_http_version() == "1.1"
        keep = modern and self.parser.should_keep_alive()
        method = self.parser.get_method().decode("latin-1")
        self.pending.append(Request(method, unquote(path), query, self.headers, b"".join(self.parts), keep, modern))
        if len(self.pending) > PIPELINED:
            self._refuse(NOT_HTTP)
        self._next()

    # What goes out

    def play(self, steps: Iterator[Step]) -> None:
        """Begin to answer; who set `record` is told how that ends."""
        self.steps = steps
        self.due = self.loop.time()
        self.advance()

    def advance(self) -> None:
        """The next steps, until one has to wait."""
        self.timer = None
        while self.steps is not None and not self.transport.is_closing():
            step = next(self.steps)
            if isinstance(step, bytes):
                self.transport.write(step)
                if self.record is not None:
                    self.record.writes += 1
                if self.full:
                    return
            elif isinstance(step, float):
                self._wait(step)
                return
            else:
                self._end(step)
                return

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.timer is None:
            self.due = self.loop.time()
            self.timer = self.loop.call_soon(self.advance)

    def cut(self) -> None:
        """Close at once, as the end of the process would."""
        self.is_cut = True
        self.transport.abort()

    def reset(self) -> None:
        """Close with a reset."""
        self.is_cut = True
        number = self.transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=number) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            same.detach()
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        """Waits are counted from the answer's begin, so that a late step does not delay those behind it."""
        if seconds:
            self.due += seconds
            self.timer = self.loop.call_at(self.due, self.advance)
        else:
            self.timer = self.loop.call_soon(self.advance)

    def _end(self, ending: Ending) -> None:
        if ending is Ending.STALL:
            self.steps = None
            return
        is_cut = self.record is not None and self.record.fault.startswith(("reset-", "close-"))
        record, self.record = self.record, None
        self._stop()
        if ending is Ending.RESET:
            self.reset()
        elif ending is Ending.CLOSE:
            self.transport.close()
        self.answering = False
        if record is not None:
            self.host.ended(record, "cut" if is_cut else "answered")
        self._next()

    def _next(self) -> None:
        if self.pending and not self.answering and not self.transport.is_closing():
            self.answering = True
            self.host.arrived(self, self.pending.popleft())

    def _stop(self) -> None:
        self.steps = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
