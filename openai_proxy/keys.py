"""API keys: a file of digests, or plain keys in an environment variable. A key itself is never kept, logged or raised.

The file has one line a key, fields separated by spaces, and comment lines that start with `#`:

    name  scope[,scope]  sha256-of-the-key-in-hex  time-of-creation

A name may have several keys, so that one can be replaced without a gap. Scopes are `user` and `admin`; any key may use
the models, `admin` also opens /metrics and /admin. In the environment keys are separated by commas, each `KEY`,
`NAME=KEY` or `NAME:admin=KEY`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from openai_proxy.auth import Caller
from openai_proxy.config import Auth
from openai_proxy.rewriting import Book

SCOPES = frozenset({"user", "admin"})
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
TOKEN = re.compile(r"[!-+\--~]{8,512}").fullmatch
TAIL = 4
LONG_ENOUGH_FOR_A_TAIL = 16
HEADER = "# Keys of openai-proxy: name, scopes, SHA-256 of the key, created. The keys themselves are not kept.\n"


class KeyProblem(ValueError):
    """A key, a key's name or a line of the key file is not valid. Never holds a key."""


class Key(Struct, frozen=True):
    """One key as it is stored: `digest` is its SHA-256."""

    name: str
    scopes: frozenset[str]
    digest: bytes
    created: str = ""

    def __repr__(self) -> str:
        return f"Key({self.name!r}, {sorted(self.scopes)!r})"

    @property
    def line(self) -> str:
        return f"{self.name} {','.join(sorted(self.scopes))} {self.digest.hex()} {self.created}\n"


class Keys:
    """All keys of a server. False when there is none: then everybody may call."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        self._callers: dict[bytes, Caller] = {}

    @classmethod
    def read(cls, auth: Auth, environ: Mapping[str, str]) -> Keys:
        """The keys of the file and of the environment. Raises KeyProblem or OSError."""
        listed_keys = listed(Path(os.path.expanduser(auth.key_file))) if auth.key_file else []
        return cls([*listed_keys, *_from_environment(auth.key_env, environ.get(auth.key_env, ""))])

    def find(self, token: str) -> Caller | None:
        """Who holds this key. A stranger's key is compared with every key in constant time."""
        digest = digest_of(token)
        caller = self._callers.get(digest)
        if caller is None:
            key = self._compare(digest)
            if key is None:
                return None
            tail = token[-TAIL:] if len(token) >= LONG_ENOUGH_FOR_A_TAIL else ""
            caller = self._callers[digest] = Caller(key.name, key.scopes, tail)
        return caller

    def holder(self, digest: bytes) -> Caller | None:
        """Who holds the key of that digest."""
        caller = self._callers.get(digest)
        if caller is not None:
            return caller
        key = self._compare(digest)
        return None if key is None else Caller(key.name, key.scopes)

    def _compare(self, digest: bytes) -> Key | None:
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found

    def text(self) -> str:
        """What a key file of them holds: digests."""
        return "".join((HEADER, *(key.line for key in self._keys)))

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        return f"<Keys: {len(self)}>"


def new(name: str, scopes: str | Iterable[str] = "user") -> tuple[str, str]:
    """A fresh key for `name`: the token, to be shown once, and its line for the file. Raises KeyProblem."""
    wanted = frozenset(scopes.split(",") if isinstance(scopes, str) else scopes)
    token = "sk-" + secrets.token_urlsafe(32)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return token, _checked(name, wanted, digest_of(token), created).line


def listed(path: Path) -> list[Key]:
    """The keys in a file. Raises KeyProblem with the number of the bad line, or OSError."""
    return BOOK.listed(path)


def add(path: Path, line: str) -> None:
    """Append a line made by `new`; the file is made, for its owner only, when it is not there.

    Raises KeyProblem or OSError.
    """
    BOOK.add(path, line)


def revoke(path: Path, name: str) -> int:
    """Remove every key of `name`; how many there were. Raises KeyProblem or OSError."""
    return BOOK.remove(path, name)


def digest_of(token: str) -> bytes:
    """Its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _parse(line: str) -> Key:
    fields = line.split()
    if len(fields) not in (3, 4) or not DIGEST(fields[2]):
        raise KeyProblem("expected a name, scopes and a SHA-256 in hex, and maybe a time")
    return _checked(fields[0], frozenset(fields[1].split(",")), bytes.fromhex(fields[2]), "".join(fields[3:]))


def _checked(name: str, scopes: frozenset[str], digest: bytes, created: str) -> Key:
    if not NAME(name):
        raise KeyProblem("a key's name is 1 to 64 letters, digits, dots, dashes and underscores")
    if not scopes or not scopes <= SCOPES:
        raise KeyProblem(f"the scopes of a key are {' and '.join(sorted(SCOPES))}, separated by a comma")
    return Key(name, scopes, digest, created)


def _from_environment(variable: str, text: str) -> list[Key]:
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    return [_from_entry(variable, number, entry) for number, entry in enumerate(entries, 1)]


def _from_entry(variable: str, number: int, entry: str) -> Key:
    label, separator, token = entry.partition("=")
    name, _, scope = label.partition(":")
    if not separator or not token:
        name, scope, token = f"env-{number}", "", entry
    if not TOKEN(token):
        raise KeyProblem(f"{variable}, key {number}: a key is 8 to 512 visible ASCII characters without a comma")
    try:
        return _checked(name, frozenset({"user", scope or "user"}), digest_of(token), "")
    except KeyProblem as error:
        raise KeyProblem(f"{variable}, key {number}: {error}") from None


BOOK = Book(kind="a key file", header=HEADER, parse=_parse, problem=KeyProblem)
