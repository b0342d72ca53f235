"""A server on a loopback port that says exactly what a test scripts, byte by byte, and notes what it was asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeAlias

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@dataclass
class Line:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """The next request, whole. Raises IncompleteReadError when the client closes instead."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await self.reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the client has closed the connection, however."""
        try:
            while await self.reader.read(65536):
                pass
        except OSError:
            pass

    def reset(self) -> None:
        """Close so that the client sees a reset."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script: TypeAlias = Callable[[Line], Awaitable[None]]


@dataclass
class Scripted:
    """A server that runs a script for each connection; the last one serves all further ones."""

    scripts: tuple[Script, ...]
    ssl: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    errors: list[BaseException] = field(default_factory=list)

    async def __aenter__(self) -> Scripted:
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), 10)
        await asyncio.sleep(0.01)
        assert self.errors == []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        try:
            await script(Line(reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client left
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            writer.close()
            self.ended.release()


def answers(*each: bytes, close: bool = False) -> Script:
    """Answer each request by the next of `each`, then by the last one; with `close`, close when they are through."""

    async def script(line: Line) -> None:
        for data in each:
            await line.request()
            await line.send(data)
        while not close:
            await line.request()
            await line.send(each[-1])

    return script
