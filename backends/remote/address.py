"""Where an upstream lies, from the URL in its settings."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import Struct

PORTS = {"http": 80, "https": 443}
# What stands at the end of a URL that was copied from an example: the path of one request, not that of the server.
ENDPOINT = re.compile(
    r"/(?:(?:v1/)?(?:chat/completions|audio/(?:speech|transcriptions|translations)|images/(?:generations|edits))"
    r"|v1/(?:models|completions|responses|embeddings|rerank|score|moderations)|api/(?:chat|generate|embed|tags))/*\Z"
)


class Address(Struct, frozen=True):
    """`base` is the path in front of "/v1", empty or beginning with a slash."""

    scheme: str
    host: str
    port: int
    base: str

    @property
    def authority(self) -> str:
        """Host and port; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    def target(self, path: str) -> bytes:
        """What a request line asks for: `path` ("/v1/models", "/health") below the URL's own path."""
        return f"{self.base}{path}".encode("ascii")


def read_address(url: str) -> Address:
    """An address out of "http://box:8000", "http://box:8000/v1" or "https://api.example/openai/v1/".

    Raises ValueError with the end of a sentence that begins with the setting's name. It does not show the URL, which
    may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.scheme not in PORTS:
        raise ValueError("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must hold no user or password; name a key with 'key_env' or 'key_file'")
    if not parts.hostname or port == 0:
        raise ValueError("names no host" if port != 0 else "has no usable port")
    if "?" in url or "#" in url:
        raise ValueError("must end with its path: no query and no fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("holds a character that must be percent-encoded")
    base = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return Address(parts.scheme, parts.hostname, port or PORTS[parts.scheme], base)


def check_base(url: str) -> None:
    """Raises ValueError, as `read_address` does, for the URL of one endpoint of a server."""
    read_address(url)
    found = ENDPOINT.search(url)
    if found is not None:
        raise ValueError(f'must be that of the server, not of one endpoint: leave out "{found[0]}"')
