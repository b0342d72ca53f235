"""Credential -> Caller: where a request may carry its key, and what is ambiguous. Keys themselves live in `keys`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from openai_proxy.errors import BadHead, MissingKey, Unauthorized

CHALLENGE = ((b"www-authenticate", b"Bearer"),)
# Below these lie pictures, and what jobs made, by names that nobody can guess.
IMAGE_FILES, JOB_FILES = "/v1/images/files/", "/v1/jobs/files/"
KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key")


class Caller(Struct, frozen=True):
    """Who calls: the key's name, what it may do and the last characters of the key, for logs."""

    name: str
    scopes: frozenset[str] = frozenset({"user"})
    tail: str = ""


NOBODY = Caller("anonymous", frozenset({"user", "admin"}))
STRANGER = Caller("anonymous", frozenset())


def presented(head: Mapping[bytes, bytes]) -> str:
    """The key of a request: `Authorization: Bearer KEY`, or `x-api-key` or `api-key` as other SDKs send it.

    Raises MissingKey without any, Unauthorized for another scheme, BadHead when two of them disagree.
    """
    tokens = {_token(name, head[name]) for name in KEY_HEADERS if name in head}
    if not tokens:
        raise MissingKey(headers=CHALLENGE)
    if len(tokens) > 1:
        raise BadHead("The request carries two different API keys.")
    token = tokens.pop()
    if not token:
        raise Unauthorized("The Authorization header must be `Bearer KEY`.", headers=CHALLENGE)
    return token


def _token(name: bytes, value: bytes) -> str:
    if name != b"authorization":
        return value.strip().decode("latin-1")
    scheme, _, token = value.partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
