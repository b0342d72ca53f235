"""Reading a request's body: JSON, or a form where a route takes one; bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.types import Message, Receive

from openai_proxy.errors import ClientGone, RequestTooLarge, UnsupportedMediaType

CLOSE = ((b"connection", b"close"),)
LARGE = 2_000_000
MULTIPART, URL_ENCODED = b"multipart/form-data", b"application/x-www-form-urlencoded"


def check_head(head: Mapping[bytes, bytes], limit: int, *, form: bool = False, fields: bool = False) -> None:
    """Refuse a body by what its head says; `form`: it must be multipart, `fields`: it may be any form, too.

    Raises UnsupportedMediaType or RequestTooLarge.
    """
    length = int(head.get(b"content-length", b"0"))
    if length > limit:
        raise _too_large(limit)
    if form:
        if not head.get(b"content-type", b"").lower().startswith(MULTIPART):
            raise UnsupportedMediaType("Content-Type must be multipart/form-data.", headers=CLOSE)
    elif head.get(b"content-type") != b"application/json" and (length or b"transfer-encoding" in head):
        kind, _, options = head.get(b"content-type", b"").lower().replace(b" ", b"").replace(b'"', b"").partition(b";")
        if fields and kind in (MULTIPART, URL_ENCODED):
            pass
        elif kind != b"application/json" or options not in (b"", b"charset=utf-8", b"charset=utf8"):
            raise UnsupportedMediaType("Content-Type must be application/json, in UTF-8.", headers=CLOSE)
    if b"content-encoding" in head and head[b"content-encoding"].strip().lower() != b"identity":
        raise UnsupportedMediaType("Content-Encoding is not supported: send the body as it is.", headers=CLOSE)


async def read_body(receive: Receive, limit: int, received: Callable[[int], None]) -> bytes:
    """The whole body, at most `limit` bytes; `received` is told how many are there as long as some are missing.

    Raises RequestTooLarge or ClientGone.
    """
    message = await receive()
    body = _piece(message)
    if message.get("more_body", False):
        body = await _rest(receive, limit, received, body)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _rest(receive: Receive, limit: int, received: Callable[[int], None], first: bytes) -> bytes:
    pieces = [first]
    size = len(first)
    more = True
    while more and size <= limit:
        if size:
            received(size)
        message = await receive()
        pieces.append(_piece(message))
        size += len(pieces[-1])
        more = message.get("more_body", False)
    # Where it is large, fresh memory costs milliseconds that other streams would wait for.
    return b"".join(pieces) if size < LARGE else await asyncio.to_thread(b"".join, pieces)


def _piece(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    piece: bytes = message.get("body", b"")
    return piece


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than {limit} bytes.", headers=CLOSE)
