"""Which Host names and which web origins a server answers to, worked out once for a configuration."""

from __future__ import annotations

import ipaddress
import re

from openai_proxy.config import Server

Headers = list[tuple[bytes, bytes]]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]{1,253})(?::[0-9]{1,5})?").fullmatch
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    # The wildcard covers every header but Authorization, which has to be named.
    (b"access-control-allow-headers", b"authorization, *"),
    (b"access-control-max-age", b"600"),
]
EXPOSED = (b"access-control-expose-headers", b"x-request-id, retry-after, x-should-retry")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class Origins:
    """The names and origins of one configuration.

    Host is checked when only this machine can reach us, because a web page can then be made to call us by a name of
    its own; and when names are configured.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        checked = is_loopback(server.host) or bool(server.hosts)
        names = {*LOOPBACK, server.host, *server.hosts} if checked else set()
        self._hosts = frozenset(name.lower().encode("idna" if not name.isascii() else "ascii") for name in names)
        self._last = b""
        self._any = "*" in server.origins
        self._origins = {origin.encode(): self._headers(origin.encode()) for origin in server.origins}

    def host_allowed(self, host: bytes) -> bool:
        if not self._hosts or host == self._last:
            return True
        found = HOST(host)
        allowed = found is not None and found[1].lower() in self._hosts
        if allowed:
            self._last = host
        return allowed

    def headers(self, origin: bytes) -> Headers | None:
        """What an answer to this origin carries; None when the origin may not call."""
        return self._origins.get(b"*" if self._any else origin)

    def _headers(self, origin: bytes) -> Headers:
        return [(b"access-control-allow-origin", origin), (b"vary", b"origin"), EXPOSED]
