"""What a client sends, in the query, as JSON or as a form: one mapping, in which the body is stronger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from openai_proxy.config import Limits
from openai_proxy.decode import beside, decode_now
from openai_proxy.errors import InvalidJson, InvalidRequest, TooManyItems
from openai_proxy.forms import PAIRS, read_fields, read_pairs
from openai_proxy.wire import Incoming

# The JavaScript client writes these into its queries where it has no key, and sends the second one as a body.
NOTHING = frozenset({"", "null", "undefined", "None"})
EMPTY = frozenset({b"", b"false", b"null"})
SECRETS = ("key", "client_session_auth_key")


class AnyFields(Struct):
    """An object with whatever is in it."""


async def parameters(incoming: Incoming, limits: Limits) -> dict[str, Any]:
    """All that was sent and is not null. Raises InvalidRequest and its kin."""
    body = incoming.body
    given: dict[str, Any] = dict(read_pairs(incoming.scope["query_string"]))
    if body.strip() not in EMPTY:
        is_json = b"json" in incoming.content_type.lower()
        work = (_of_json, body) if is_json else (read_fields, body, incoming.content_type, limits)
        given |= await beside(body, *work)
    for name in SECRETS:
        if given.get(name) in NOTHING:
            given.pop(name, None)
    return given


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        top = msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson("The body must be a JSON object.") from error
    if len(top) > PAIRS:
        raise TooManyItems(f"A request has at most {PAIRS} parameters.")
    _, given = decode_now(body, AnyFields)
    return {name: msgspec.json.decode(raw) for name, raw in given.items()}


def text_of(given: Mapping[str, Any], name: str) -> str | None:
    """A parameter that is text. Raises InvalidRequest."""
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"Invalid argument type {name}. Expected: string.", param=name)
    return value
