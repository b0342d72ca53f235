"""What the parser lets pass in a request's head and we do not: it must have one meaning, and a bounded size."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

import httptools

from openai_proxy.config import Limits
from openai_proxy.errors import BadHead, EdgeError, HeadersTooLarge

Headers = list[tuple[bytes, bytes]]

VERSIONS = ("1.1", "1.0")
LINE_REST = len("  HTTP/1.1")
FIELD_REST = len(": \r\n")
ENDS = len("\r\n\r\n")


def check_head(method: bytes, target: bytes, version: str, headers: Headers, limits: Limits) -> EdgeError | None:
    """What is wrong with a head, if anything. Header names are in lower case."""
    line = len(method) + len(target) + LINE_REST
    size = line + FIELD_REST * len(headers) + sum(map(len, chain.from_iterable(headers))) + ENDS
    if line > limits.request_line or size > limits.head_bytes or len(headers) > limits.headers:
        return HeadersTooLarge()
    fields = dict(headers)
    if version not in VERSIONS:
        return BadHead("The HTTP version must be 1.1 or 1.0.")
    if b"host" not in fields and version == "1.1":
        return BadHead("The request needs exactly one Host header.")
    if len(fields) < len(headers) or b"transfer-encoding" in fields:
        names = [name for name, _ in headers]
        if names.count(b"host") > 1:
            return BadHead("The request needs exactly one Host header.")
        if names.count(b"transfer-encoding") and not _plainly_chunked(names, fields, version):
            return BadHead("The only transfer coding is `chunked`, once.")
    if method == b"CONNECT":
        return BadHead("This server is no tunnel: it does not take CONNECT.")
    return None if target[:1] == b"/" else _check_target(method, target, fields.get(b"host", b""))


def _plainly_chunked(names: list[bytes], fields: dict[bytes, bytes], version: str) -> bool:
    once = names.count(b"transfer-encoding") == 1
    return once and version == "1.1" and fields[b"transfer-encoding"].strip().lower() == b"chunked"


def _check_target(method: bytes, target: bytes, host: bytes) -> EdgeError | None:
    """A target that is not a path: `*` for OPTIONS, or a whole URL that names the same host as the Host header."""
    if target == b"*" and method == b"OPTIONS":
        return None
    if target[:7].lower() != b"http://":
        return BadHead("The request's target must be a path.")
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return BadHead("The request's target is not a valid URL.")
    authority = target[7:].split(b"/", 1)[0].split(b"?", 1)[0]
    if url.path is None or authority.lower() != host.lower():
        return BadHead("The request's target names another host than its Host header.")
    return None


def asks_for_socket(method: bytes, url: bytes, headers: Headers, paths: Collection[str]) -> bool:
    """Whether this head asks to become a WebSocket, at one of the paths where that can be."""
    upgrade = dict(headers).get(b"upgrade", b"")
    return method == b"GET" and upgrade.lower() == b"websocket" and url.partition(b"?")[0].decode("latin-1") in paths


def written(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """A head as it goes over the wire."""
    lines = [method, b" ", url, b" HTTP/", version.encode(), b"\r\n"]
    for name, value in headers:
        lines += [name, b": ", value, b"\r\n"]
    return b"".join([*lines, b"\r\n"])
