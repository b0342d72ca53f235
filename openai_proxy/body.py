"""Reading a request's body: JSON only, bounded in size and time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from openai_proxy.config import Timeouts
from openai_proxy.errors import ClientGone, RequestTimeout, RequestTooLarge, UnsupportedMediaType

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
    if has_body and media_type.partition(b";")[0].strip().lower() != b"application/json":
        raise UnsupportedMediaType("Content-Type must be application/json.", headers=CLOSE)


async def read_body(scope: Scope, receive: Receive, limit: int, timeouts: Timeouts) -> bytes:
    """The whole body, at most `limit` bytes.

    The first byte must come within `timeouts.body_first`; then at least 1 kB a second; all within `timeouts.body`.
    Raises RequestTooLarge, RequestTimeout or UnsupportedMediaType; all of them close the connection.
    """
    check_head(scope, limit)
    loop = asyncio.get_running_loop()
    began = loop.time()
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeouts.body_first) as timer:
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
                    allowed = timeouts.body_first + size / SLOWEST
                    timer.reschedule(began + min(allowed, timeouts.body))
    except TimeoutError:
        raise RequestTimeout(headers=CLOSE) from None


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limit} bytes.", headers=CLOSE)
