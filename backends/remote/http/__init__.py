"""HTTP/1.1 to upstreams by one interface: our own client for the hot path, and aiohttp's for what that leaves out."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Protocol, cast

from backends.remote.http.peer import Peer

__all__ = ["CLIENTS", "Answer", "Connector", "Peer", "connector"]

# Name -> where it is; imported when first used.
CLIENTS = {
    "own": "backends.remote.http.own:OwnConnector",
    "aiohttp": "backends.remote.http.aiohttp_connector:AiohttpConnector",
}


class Answer(Protocol):
    """An answer whose head is there. Whoever got it closes it, in a `finally`. Errors: backends.remote.http.errors."""

    @property
    def status(self) -> int:
        """200 to 599: interim answers are skipped."""

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Lower-case names; values of a repeated one are joined by commas."""

    async def read(self) -> bytes:
        """What came of the body since the last call, at least one byte, chunked coding removed; b"" at the end.

        Raises Broken or Malformed where the body breaks off, after all that came before.
        """

    async def whole(self, limit: int) -> bytes:
        """The rest of the body. Raises AnswerTooLarge when it is longer than `limit` bytes."""

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else close it at once. May be called twice."""

    def finish(self) -> None:
        """As close(), for who knows that only the end is missing: that may still come for a moment.

        Many servers send the last chunk of the coding by itself, behind the end of an event stream.
        """


class Connector(Protocol):
    """Connections to one upstream."""

    async def send(self, method: bytes, target: bytes, headers: bytes, body: bytes) -> Answer:
        """Ask, and return once the answer's head is there. Cancelling closes the connection.

        `headers` are ready lines, `b"content-type: application/json\\r\\n"`, without host and content-length; they and
        `target` are sent as they are, so nothing of a client's may stand in them unchecked.
        Raises NotConnected, Stale, Broken or Malformed.
        """

    async def close(self) -> None:
        """Close idle connections now and the others with their answers; send() raises NotConnected from now on."""


def connector(peer: Peer, client: str = "own") -> Connector:
    """A connector of the client of that name. Raises KeyError for another name, ValueError for what it does not do."""
    return cast(Connector, pkgutil.resolve_name(CLIENTS[client])(peer))
