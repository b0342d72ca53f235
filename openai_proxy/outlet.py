"""The way out of a connection: what an answer writes to, and how much of it the client has not taken yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import termios
from array import array
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Header = tuple[bytes, bytes]


class Outlet:
    """The transport as a request's cycle sees it: `close` is the protocol's own, which lets the client read the end."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def rendered(status: int, headers: Iterable[Header]) -> bytes:
    """The head of an answer. The headers are our own and valid."""
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"


def unsent(transport: asyncio.Transport) -> int:
    """Bytes that the client has not taken: in our buffer and, where it tells (Linux, SIOCOUTQ), in the kernel's."""
    waiting = array("i", [0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, waiting)
    return transport.get_write_buffer_size() + waiting[0]
