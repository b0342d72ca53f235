"""Reading a request's body: JSON only, bounded in size and time."""

from __future__ import annotations

from starlette.types import Receive, Scope

from openai_proxy.config import Timeouts
from openai_proxy.errors import ClientGone, RequestTooLarge, UnsupportedMediaType

SLOWEST = 1000.0
CLOSE = ((b"connection", b"close"),)


def check_head(scope: Scope, limit: int) -> None:
    """Refuse a body by what its head says. Raises UnsupportedMediaType or RequestTooLarge."""
    media_type = b""
    has_body = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise UnsupportedMediaType("Content-Encoding is not supported: send the body as it is.", headers=CLOSE)
        elif name == b"content-length":
            has_body = has_body or value != b"0"
            if int(value) > limit:
                raise _too_large(limit)
        elif name == b"transfer-encoding":
            has_body = True
    kind, _, options = media_type.lower().replace(b" ", b"").replace(b'"', b"").partition(b";")
    if has_body and (kind != b"application/json" or options not in (b"", b"charset=utf-8", b"charset=utf8")):
        raise UnsupportedMediaType("Content-Type must be application/json, in UTF-8.", headers=CLOSE)


class BodyTimer:
    """When a body is late: its first byte, then 1 kB a second, and all of it within a bound."""

    def __init__(self, now: float, timeouts: Timeouts) -> None:
        self._began = now
        self._timeouts = timeouts
        self.due = now + timeouts.body_first

    def received(self, size: int) -> None:
        """`size` bytes are there in all."""
        self.due = self._began + min(self._timeouts.body_first + size / SLOWEST, self._timeouts.body)


async def read_body(receive: Receive, limit: int, timer: BodyTimer) -> bytes:
    """The whole body, at most `limit` bytes. Raises RequestTooLarge or ClientGone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if size:
            timer.received(size)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limit} bytes.", headers=CLOSE)
