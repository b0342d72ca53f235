"""Answers before they are bytes: one body, or a stream of chunks."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import msgspec
from msgspec import Struct

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"
HTML = b"text/html; charset=utf-8"
PAGE = b"<!DOCTYPE html>\n<html><head><title>%b</title></head><body><h1>%b</h1></body></html>\n"
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

encode = msgspec.json.encode


class Whole(Struct):
    """An answer of one body."""

    body: bytes
    status: int = 200
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Stream(Struct):
    """Server-sent events. `chunk(k)` has the events of the kth chunk, joined; `usage` is empty when not asked for.

    Events are framed: they begin with `data: ` and end with an empty line. Or the bytes of a sound, of another `kind`.
    """

    chunks: int
    chunk: Callable[[int], bytes]
    opening: bytes = b""
    finish: bytes = b""
    usage: bytes = b""
    done: bytes = b"data: [DONE]\n\n"
    kind: bytes = SSE


class ErrorBody(Struct):
    """What OpenAI tells of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def error(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """An error object of OpenAI's shape."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return encode({"error": ErrorBody(message, kind, param, code)})


def page(status: int) -> bytes:
    """An error as a page for people."""
    title = f"{status} {reason(status)}".encode()
    return PAGE % (title, title)


def reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
