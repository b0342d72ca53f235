"""The same interface over aiohttp: for upstreams behind an HTTP proxy, and to compare our own client with.

Where it differs: idle connections are timed but not counted, and go with the last answer when the connector closes; a
GET that meets a stale connection is sent again by aiohttp itself; its parser lets bare line feeds and endless chunk
extensions pass.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from backends.remote.http.answer import MOMENT
from backends.remote.http.errors import Broken, HttpError, Malformed, NotConnected, Stale
from backends.remote.http.heads import check
from backends.remote.http.peer import Peer
from backends.remote.http.reading import read_whole

# aiohttp warns of bodies above 1 MB that are given whole.
PIECE = 262_144
# As our own client: within so many seconds of sending.
STALE = 0.5
# aiohttp stops reading the socket above twice as many bytes.
BUFFER = 131_072
# It bounds a head by the number of its lines and the length of each, not by their sum: that is checked afterwards.
MOST_HEADERS = 1000
OURS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
TROUBLE = (aiohttp.ClientError, HttpProcessingError, OSError)


class AiohttpAnswer:
    """An Answer. `done` is called when it is closed."""

    def __init__(self, response: aiohttp.ClientResponse, done: Callable[[], None]) -> None:
        self.status = response.status
        self.headers: dict[bytes, bytes] = {}
        for name, value in response.raw_headers:
            name = name.lower()
            self.headers[name] = self.headers[name] + b", " + value if name in self.headers else value
        self._response = response
        self._done: Callable[[], None] | None = done
        self._finishing: asyncio.TimerHandle | None = None

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except TROUBLE as error:
            raise _broken(error) from error

    async def whole(self, limit: int) -> bytes:
        return await read_whole(self, limit)

    def close(self) -> None:
        if self._finishing is None:
            self._let_go()

    def finish(self) -> None:
        content = self._response.content
        if content.is_eof() or self._done is None:
            self.close()
        elif self._finishing is None:
            self._finishing = asyncio.get_running_loop().call_later(MOMENT, self._let_go)
            content.on_eof(self._let_go)

    def _let_go(self) -> None:
        if self._finishing is not None:
            self._finishing.cancel()
        done, self._done = self._done, None
        if done is None:
            return
        content, connection = self._response.content, self._response.connection
        if content.at_eof() and content.exception() is None:
            self._response.release()
        else:
            if connection is not None and connection.transport is not None:
                connection.transport.abort()
            self._response.close()
        done()


class AiohttpConnector:
    """A Connector."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._context = peer.context  # the system's CAs take a while to load: now, not between streams
        self._session: aiohttp.ClientSession | None = None
        self._running = 0
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    async def send(self, method: bytes, target: bytes, headers: bytes, body: bytes) -> AiohttpAnswer:
        if self._closed:
            raise NotConnected("The connector is closed.")
        session = self._session = self._session or self._open()
        self._running += 1
        try:
            response = await self._ask(session, method.decode(), target.decode(), _fields(headers, body), body)
        except BaseException:
            self._done()
            raise
        answer = AiohttpAnswer(response, self._done)
        try:
            self._check(response, answer.headers)
        except Malformed:
            answer.close()
            raise
        return answer

    async def close(self) -> None:
        self._closed = True
        if not self._running and self._session is not None:
            await self._session.close()

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, target: str, fields: list[tuple[str, str]], body: bytes
    ) -> aiohttp.ClientResponse:
        """The answer's head. Raises our errors for aiohttp's."""
        loop, reused = asyncio.get_running_loop(), list[bool]()
        began = loop.time()
        try:
            return await session.request(
                method,
                URL(self._peer.origin.rstrip("/") + target, encoded=True),
                headers=fields,
                data=_pieces(body) if len(body) > PIECE else body or None,
                allow_redirects=False,
                proxy=self._peer.proxy,
                server_hostname=self._peer.server_hostname,
                trace_request_ctx=reused,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError, aiohttp.ClientHttpProxyError) as error:
            raise NotConnected from error
        except TROUBLE as error:
            if reused and loop.time() - began < STALE and _unanswered(error):
                raise Stale from error
            if isinstance(error.__cause__, ssl.SSLError):
                raise NotConnected("The upstream refused the TLS handshake.") from error
            raise _broken(error) from error

    def _open(self) -> aiohttp.ClientSession:
        """A session; it belongs to the running loop."""
        peer = self._peer
        traces = aiohttp.TraceConfig()
        traces.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=peer.idle_timeout, ssl=self._context or True),
            timeout=aiohttp.ClientTimeout(connect=peer.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=OURS,
            auto_decompress=False,
            read_bufsize=BUFFER,
            max_line_size=peer.largest_head,
            max_field_size=peer.largest_head,
            max_headers=MOST_HEADERS,
            trace_configs=[traces],
        )

    def _check(self, response: aiohttp.ClientResponse, headers: dict[bytes, bytes]) -> None:
        version = response.version
        check(response.status, f"{version.major}.{version.minor}" if version else "", headers)
        if sum(len(name) + len(value) + 4 for name, value in response.raw_headers) > self._peer.largest_head:
            raise Malformed("The head of the upstream's answer is too long.")

    def _done(self) -> None:
        self._running -= 1
        if self._closed and not self._running and self._session is not None:
            self._ending = asyncio.get_running_loop().create_task(self._session.close())


async def _note_reuse(session: aiohttp.ClientSession, context: Any, parameters: Any) -> None:
    context.trace_request_ctx.append(True)


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(body), PIECE):
        yield view[start : start + PIECE]


def _fields(lines: bytes, body: bytes) -> list[tuple[str, str]]:
    """Ready header lines for aiohttp, which would send a body in pieces as chunks if it were not told its length."""
    pairs = [line.split(":", 1) for line in lines.decode().split("\r\n") if line]
    fields = [(name, value.strip()) for name, value in pairs]
    return [*fields, ("content-length", str(len(body)))] if len(body) > PIECE else fields


def _unanswered(error: Exception) -> bool:
    """Whether a connection ended without one byte; what came of an answer is the error's message."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return isinstance(error, aiohttp.ClientConnectionError)


def _broken(error: Exception) -> HttpError:
    """What an error of aiohttp's means once a connection was there."""
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return Malformed(str(error))
    return Broken()
