"""Addresses that clients give -> their parts, by one strict reading; nothing else ever reads them.

What two readers could understand differently is refused: users, backslashes, blanks, anything that is not printable
ASCII, and numbers for hosts in other spellings than four decimals. Source: RFC 3986, and https://url.spec.whatwg.org/
for what ends in a number.
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse

from msgspec import Struct

PORTS = {"https": 443, "http": 80}
UNSAFE = re.compile(r"[^!-~]|\\")
ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE)
AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
FILE = re.compile(r"file://(?:localhost)?(?P<path>/[^?#]*)", re.IGNORECASE)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
LONGEST_NAME = 253


class Address(Struct, frozen=True):
    """Where something is. `host` is a name or an IP address, in small letters and without brackets or a final dot;
    `target` begins with a slash and has the query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class LocalFile(Struct, frozen=True):
    """A file of this machine, by its absolute path."""

    path: str


def read(text: str) -> Address | LocalFile:
    """What an address means. Raises ValueError with the reason, in words that go on from "the address"."""
    if UNSAFE.search(text):
        raise ValueError("has a character that no address may have: write it percent-encoded")
    if file := FILE.fullmatch(text):
        return LocalFile(_path(file["path"]))
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError("is not of a kind that is fetched here")
    scheme, target = found["scheme"].lower(), found["target"]
    if "@" in found["authority"]:
        raise ValueError("names a user")
    authority = AUTHORITY.fullmatch(found["authority"])
    if authority is None:
        raise ValueError("has a host that cannot be read")
    port = int(authority["port"] or PORTS[scheme])
    if not 1 <= port <= 65535:
        raise ValueError("has a port that does not exist")
    return Address(scheme, _host(authority["host"].lower()), port, target if target[:1] == "/" else f"/{target}")


def follow(address: Address, location: str) -> Address:
    """Where a redirect leads. Raises ValueError as `read` does."""
    if UNSAFE.search(location):  # the joining below would drop some of these
        raise ValueError("has a character that no address may have")
    found = read(urllib.parse.urljoin(str(address), location))
    if isinstance(found, LocalFile):
        raise ValueError("is a file's")
    return found


def file_name(text: str) -> str:
    """What a file from that address is called: the last part of its path, or else its host."""
    parts = urllib.parse.urlsplit(text)
    return urllib.parse.unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or "document"


def matches(host: str, domains: tuple[str, ...]) -> bool:
    """Whether a host is one of these, or for `*.example.org` below it."""
    return any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in domains)


def _host(text: str) -> str:
    """Raises ValueError for what is neither a name nor an address in its usual spelling."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError("has a host that cannot be read") from None
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > LONGEST_NAME or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError("has a host that cannot be read")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise ValueError("has a host that is a number in an unusual spelling") from None
    return name


def _path(text: str) -> str:
    """Raises ValueError."""
    try:
        path = urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has a path that is not UTF-8") from None
    if "\0" in path:
        raise ValueError("has a path that cannot be")
    return path
