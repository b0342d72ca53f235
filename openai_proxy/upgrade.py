"""A connection that has become a WebSocket: uvicorn's protocol on `websockets`, with our counts and limits.

What uvicorn lacks: that it is still one of the door's connections, a log without addresses, a head that makes no
handshake answered, a way to cut it (`scope["extensions"]["openai_proxy.abort"]["abort"]()`), one to send a message in
parts (`scope["extensions"]["openai_proxy.part"]["send"](text, first=..., last=...)`), and small messages until more are
allowed (`scope["extensions"]["openai_proxy.large"]["allow"]()`). Nothing is compressed: a short message could unpack to
a long one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

# Bytes of a message of somebody who is not known yet.
SMALL = 262_144
MALFORMED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

# What uvicorn would say here holds whole addresses, and is in our own log of exchanges.
quiet = logging.getLogger("openai_proxy.upgrade")
quiet.setLevel(logging.WARNING)


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket. A message has at most `limit` bytes, once large ones are allowed; `left` is called at its end."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        *,
        limit: int,
        left: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.logger = quiet
        self.conn = ServerProtocol(max_size=min(limit, SMALL), logger=quiet)
        self.limit = limit
        self.left = left

    def connection_lost(self, exc: Exception | None) -> None:
        self.left()
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"]["openai_proxy.abort"] = {"abort": self.transport.abort}
            self.scope["extensions"]["openai_proxy.part"] = {"send": self.send_part}
            self.scope["extensions"]["openai_proxy.large"] = {"allow": self.allow_large}

    def handle_parser_exception(self) -> None:
        """A frame that is none, or too large. Before the handshake is answered there is nothing to be closed properly:
        what comes with the head is answered as a bad one.
        """
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
        elif self.handshake_initiated:
            self.transport.abort()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # was declined, of which uvicorn would log that nobody answered it

    def allow_large(self) -> None:
        """From the next frame on."""
        self.conn.max_message_size = self.limit

    async def send_part(self, text: bytes, *, first: bool, last: bool) -> None:
        """Send a part of a message, whole characters, and wait until nearly all of it is taken. Raises OSError."""
        if self.conn.state is not State.OPEN:
            raise ConnectionResetError
        (self.conn.send_text if first else self.conn.send_continuation)(text, fin=last)
        self.transport.write(b"".join(self.conn.data_to_send()))
        await self.writable.wait()
        if self.disconnected:
            raise ConnectionResetError

    def retire(self) -> None:
        """Answer what runs and end then: that is what it does anyway."""


def take_over(connection: HttpToolsProtocol, data: bytes, limit: int, left: Callable[[], None]) -> None:
    """Have a connection go on as a WebSocket: `data` is its head, read already, and what came after it."""
    transport: asyncio.Transport = connection.transport
    connection.connections.discard(connection)
    socket = WebSocket(
        connection.config, connection.server_state, connection.app_state, connection.loop, limit=limit, left=left
    )
    socket.connection_made(transport)
    transport.set_protocol(socket)
    socket.data_received(data)
    if not socket.handshake_initiated:
        transport.write(MALFORMED)
        transport.close()
