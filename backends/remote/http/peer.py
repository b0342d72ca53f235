"""One upstream's address and the terms on which connections to it are made and kept."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Peer:
    """`origin` is scheme, host and port alone: "https://10.0.0.1:8000", "http://[::1]:8000"; times are in seconds.

    `tls` is made by the caller (CA, client certificate); without one https takes the system's CAs. `proxy` is a URL,
    with credentials where it wants some, and only aiohttp's client takes it. Raises ValueError for a bad origin.
    """

    origin: str
    connect_timeout: float = 5.0
    idle_timeout: float = 30.0
    max_idle: int = 128
    tls: ssl.SSLContext | None = None
    server_hostname: str | None = None
    proxy: str | None = None
    largest_head: int = 32_768

    def __post_init__(self) -> None:
        parts = self._parts
        if parts.scheme not in ("http", "https") or not parts.hostname or not self.origin.isascii():
            raise ValueError("An upstream's origin is http:// or https:// and a host.")
        if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("An upstream's origin has no credentials, path or query.")
        if not self.origin.isprintable() or " " in self.origin or not self.port:
            raise ValueError("An upstream's origin has no blanks, and a port from 1 to 65535.")

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self.origin)

    @cached_property
    def host(self) -> str:
        return self._parts.hostname or ""

    @cached_property
    def port(self) -> int:
        port = self._parts.port
        return (443 if self.secure else 80) if port is None else port

    @cached_property
    def authority(self) -> str:
        """The value of the Host header."""
        return self._parts.netloc

    @property
    def secure(self) -> bool:
        return self._parts.scheme == "https"

    @cached_property
    def context(self) -> ssl.SSLContext | None:
        """What connections are secured with; None without TLS."""
        return (self.tls or ssl.create_default_context()) if self.secure else None
