"""Credential -> Caller: where a request may carry its key, and what is ambiguous. Keys themselves live in `keys`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import Struct
from starlette.types import Scope

from openai_proxy.errors import BadHead, MissingKey, Unauthorized

CHALLENGE = ((b"www-authenticate", b"Bearer"),)
# Below these lie pictures, and what jobs made, by names that nobody can guess.
IMAGE_FILES, JOB_FILES = "/v1/images/files/", "/v1/jobs/files/"
KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key")
# What clients send that have to send a key, and have none.
PLACEHOLDER = b"Bearer EMPTY"
# Fields of bodies that say who calls.
BODY_KEY, BODY_USER = "h2ogpt_key", "user"


class Caller(Struct, frozen=True):
    """Who calls: the key's name, what it may do and the last characters of the key, for logs."""

    name: str
    scopes: frozenset[str] = frozenset({"user"})
    tail: str = ""


NOBODY = Caller("anonymous", frozenset({"user", "admin"}))
# Without a key, and no operator: where there are accounts, or from another machine.
ANYBODY = Caller("anonymous")
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


def without_login(head: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The headers but for an `Authorization: Basic`, which carries no key."""
    if head.get(b"authorization", b"")[:6].lower() != b"basic ":
        return head
    return {name: value for name, value in head.items() if name != b"authorization"}


def login(head: Mapping[bytes, bytes]) -> tuple[str, str] | None:
    """The name and the password of a request with `Authorization: Basic` (RFC 7617). Raises BadHead."""
    scheme, _, value = head.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise BadHead("The Authorization header is not that of HTTP Basic.")
    return name, password


def is_login(user: object) -> TypeGuard[str]:
    """Whether what a body has as `user` is "name:password", as h2oGPT's clients send it, and not just a name."""
    return isinstance(user, str) and ":" in user


def without_credentials(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body but for those that say who calls: nobody behind is told them, and nothing keeps them."""
    return {
        name: value for name, value in given.items() if name != BODY_KEY and not (name == BODY_USER and is_login(value))
    }


def peer_of(scope: Scope) -> str:
    """The client's address; "" where it has none."""
    client = scope.get("client")
    return client[0] if client else ""


def _token(name: bytes, value: bytes) -> str:
    if name != b"authorization":
        return value.strip().decode("latin-1")
    scheme, _, token = value.partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
