"""One answer on a connection of our own client: reads of the socket in, head and body out.

llhttp by itself refuses most of what is ambiguous (two lengths, bare line feeds, folded lines, signs in numbers). It
sets no bounds, and lets pass what heads.check() refuses, interim answers with a body, and RTSP for HTTP.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from backends.remote.http.errors import Broken, HttpError, Malformed, NotConnected, Stale
from backends.remote.http.heads import check
from backends.remote.http.reading import read_whole

if TYPE_CHECKING:
    from backends.remote.http.connection import Connection

# The socket is not read while more bytes than these wait for a reader; a read brings at most 256 kB more.
HELD = 65_536
# A kept-alive connection that breaks so soon after a request, in seconds, had been closed before it.
STALE = 0.5
# After finish() the end has so many seconds to come.
MOMENT = 0.2


class OwnAnswer:
    """An answer as it comes. The connection calls feed() and lost(), the parser the methods named on_..."""

    def __init__(self, connection: Connection, largest_head: int, *, head_only: bool, reused: bool) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._connection: Connection | None = connection
        self._loop = connection.loop
        self._room = self._largest_head = largest_head
        self._head_only = head_only
        self._stale_until = self._loop.time() + STALE if reused else 0.0
        self._begun = self._complete = self._reusable = self._close_delimited = False
        self._error: HttpError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._finishing: asyncio.TimerHandle | None = None
        self._held = 0
        # The parser calls the list itself: no frame of ours for each chunk.
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    async def headed(self) -> None:
        """Wait for the head."""
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        while not self._pieces:
            if self._complete:
                return b""
            await self._more()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._held > HELD and self._connection is not None:
            self._connection.resume()
        self._held = 0
        return data

    async def whole(self, limit: int) -> bytes:
        return await read_whole(self, limit)

    def close(self) -> None:
        if self._finishing is None:
            self._let_go()

    def finish(self) -> None:
        if self._connection is None or self._complete or self._error is not None:
            self.close()
        elif self._finishing is None:
            self._finishing = self._loop.call_later(MOMENT, self._let_go)

    def _let_go(self) -> None:
        if self._finishing is not None:
            self._finishing.cancel()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._parser = None  # each holds the other
        if self._complete and self._reusable and not self._pieces:
            connection.release()
        else:
            connection.abort()
            self._pieces.clear()
            self._end(Broken("The answer was closed before its end."))

    def feed(self, data: bytes) -> None:
        """Take what one read of the socket brought."""
        before = len(self._pieces)
        try:
            if self.status:
                self._parse(data)
            else:
                self._parse_head(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            ours = error.__context__
            self._end(ours if isinstance(ours, Malformed) else Malformed(str(error)), error)
            return
        if len(self._pieces) > before:
            self._room = self._largest_head
            self._held += len(data)
            if self._held > HELD and self._connection is not None:
                self._connection.pause()
        elif self.status:
            self._room -= len(data)
            if self._room < 0:
                self._end(Malformed("The upstream sends chunk extensions or trailers without end."))
        self._wake()
        if self._finishing is not None and (self._complete or self._pieces):
            self._let_go()

    def lost(self, error: Exception | None) -> None:
        """The connection ended, by a clean end without `error`."""
        if self._close_delimited and error is None and self._error is None:
            self._complete = True  # so that it ends without an error
        if not self._begun and self._loop.time() < self._stale_until:
            self._end(Stale(), error)
        elif not self._begun and isinstance(error, ssl.SSLError):
            # In TLS 1.3 a server refuses our certificate after our side of the handshake is done.
            self._end(NotConnected("The upstream refused the TLS handshake."), error)
        else:
            self._end(Broken(), error)

    def on_message_begin(self) -> None:
        if self._complete:
            raise Malformed("Data after the end of the answer.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # trailers: nobody asks for them
        name, value = name.lower(), value.strip()
        if name in self.headers:
            value = self.headers[name] + b", " + value
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status, version = parser.get_status_code(), parser.get_http_version()
        if 100 <= status <= 199 and status != 101:
            return
        check(status, version, self.headers)
        self.status = status
        self._room = self._largest_head
        self._reusable = version == "1.1" and parser.should_keep_alive()
        self._close_delimited = not {b"transfer-encoding", b"content-length"} & self.headers.keys()
        if self._head_only:
            self._complete, self._reusable = True, False
            raise Malformed("The parser would wait for the body that the head announces.")

    def on_message_complete(self) -> None:
        if self.status:
            self._complete = True
        elif self._pieces:
            raise Malformed("The upstream sent an interim answer with a body.")
        else:
            self.headers.clear()

    def _parse(self, data: bytes | memoryview) -> None:
        if self._parser is None or self._complete:
            raise HttpParserError("Data after the end of the answer.")
        self._parser.feed_data(data)

    def _parse_head(self, data: bytes) -> None:
        """The parser gets no more of a head than may be, so that the limit is exact however the head is split."""
        if not self._begun and data[:1] != b"H":
            raise HttpParserError("The upstream's answer is not HTTP.")
        self._begun = True
        room, self._room = self._room, self._room - len(data)
        if self._room >= 0:
            self._parse(data)
            return
        view = memoryview(data)
        self._parse(view[:room])
        if not self.status:
            raise HttpParserError("The head of the upstream's answer is too long.")
        self._parse(view[room:])

    def _end(self, error: HttpError, cause: Exception | None = None) -> None:
        """Nothing more comes. An answer that is complete stays good, the connection does not."""
        self._reusable = False
        if not self._complete and self._error is None:
            error.__cause__ = cause
            self._error = error
        if self._connection is not None:
            self._connection.abort()
        self._wake()

    async def _more(self) -> None:
        """Wait until something has changed. Raises the error of an answer that broke off."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
