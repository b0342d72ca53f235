"""What the parser lets pass in a request's head and we do not: it must have one meaning, and a bounded size."""

from __future__ import annotations

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
    size = line + ENDS
    hosts = 0
    host = b""
    encodings = 0
    for name, value in headers:
        size += len(name) + len(value) + FIELD_REST
        if name == b"host":
            hosts += 1
            host = value
        elif name == b"transfer-encoding":
            encodings += 1 if value.strip().lower() == b"chunked" and version == "1.1" else 2
    if line > limits.request_line or size > limits.head_bytes or len(headers) > limits.headers:
        return HeadersTooLarge()
    if version not in VERSIONS:
        return BadHead("The HTTP version must be 1.1 or 1.0.")
    if hosts > 1 or (not hosts and version == "1.1"):
        return BadHead("The request needs exactly one Host header.")
    if encodings > 1:
        return BadHead("The only transfer coding is `chunked`, once.")
    if method == b"CONNECT":
        return BadHead("This server is no tunnel: it does not take CONNECT.")
    return None if target[:1] == b"/" else _check_target(method, target, host)


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
