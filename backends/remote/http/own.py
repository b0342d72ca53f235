"""Our own HTTP/1.1 client for the hot path, on httptools: the cheapest per request and per read of a stream.

It does what a relay needs and no more: keep-alive to one origin, and TLS; no proxies, redirects, cookies or codings.
"""

from __future__ import annotations

import asyncio

from backends.remote.http.answer import OwnAnswer
from backends.remote.http.connection import Connection
from backends.remote.http.errors import Broken, NotConnected, Stale
from backends.remote.http.idle import Idle
from backends.remote.http.peer import Peer


class OwnConnector:
    """A Connector."""

    def __init__(self, peer: Peer) -> None:
        if peer.proxy:
            raise ValueError("A proxy needs aiohttp's client.")
        self._peer = peer
        self._context = peer.context  # the system's CAs take a while to load: now, not between streams
        self._idle = Idle(peer.max_idle, peer.idle_timeout)
        self._host = b" HTTP/1.1\r\nhost: " + peer.authority.encode() + b"\r\n"

    async def send(self, method: bytes, target: bytes, headers: bytes, body: bytes) -> OwnAnswer:
        kept = self._idle.take()
        connection = kept or await self._connect()
        length = b"content-length: %d\r\n\r\n" % len(body) if body or method not in (b"GET", b"HEAD") else b"\r\n"
        head = b"".join((method, b" ", target, self._host, headers, length))
        answer = OwnAnswer(connection, self._peer.largest_head, head_only=method == b"HEAD", reused=bool(kept))
        connection.send(head, body, answer)
        try:
            await answer.headed()
        except BaseException as error:
            answer.close()
            if isinstance(error, Stale):
                self._idle.clear()  # they will be no better, and the caller's second try shall have a new one
            raise
        return answer

    async def close(self) -> None:
        self._idle.closed = True
        self._idle.clear()
        await asyncio.sleep(0)  # sockets close in the loop's next turn

    async def _connect(self) -> Connection:
        """A new connection. Raises NotConnected, or Broken when it is closed at once."""
        if self._idle.closed:
            raise NotConnected("The connector is closed.")
        peer, loop = self._peer, asyncio.get_running_loop()
        name = (peer.server_hostname or peer.host) if peer.secure else None
        try:
            async with asyncio.timeout(peer.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._idle), peer.host, peer.port, ssl=self._context, server_hostname=name
                )
        except (OSError, UnicodeError) as error:
            raise NotConnected from error
        if connection.usable:
            return connection
        raise Broken
