"""The port: it can be shut and opened again, and keeps its number between."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

BACKLOG = 2048
# The loop closes a listening socket a moment after it was told to.
RETRY, TRIES = 0.001, 2000


class Port:
    """Bound by `hold`, which nobody can connect to yet; open between `open` and `shut`."""

    def __init__(self, host: str, number: int, tls: ssl.SSLContext | None) -> None:
        self.host = host
        self.number = number
        self.tls = tls
        self.held: socket.socket | None = None
        self.server: asyncio.Server | None = None

    def hold(self) -> None:
        """Bind. Raises OSError."""
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.number, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, kind, protocol)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(address)
            held.setblocking(False)
        except OSError:
            held.close()
            raise
        self.number = held.getsockname()[1]
        self.held = held

    async def open(self, connection: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        held, self.held = self.held, None
        assert held is not None, "hold comes first"
        self.server = await loop.create_server(connection, sock=held, backlog=BACKLOG, ssl=self.tls)

    async def shut(self) -> None:
        """From now on connections are refused."""
        self.close()
        for _ in range(TRIES):
            try:
                self.hold()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                await asyncio.sleep(RETRY)
            else:
                return
        raise OSError(errno.EADDRINUSE, "somebody else took the port")

    def close(self) -> None:
        """Give the number back."""
        if self.server is not None:
            self.server.close()
        if self.held is not None:
            self.held.close()
        self.server = self.held = None
