"""A body with h2oGPT's keys -> the same in OpenAI's fields, and what else is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from openai_proxy.bodies.asking import written
from openai_proxy.decode import TOP, beside, decode
from openai_proxy.dialects import Edge
from openai_proxy.errors import InvalidJson, InvalidRequest
from openai_proxy.h2ogpt import reading
from openai_proxy.h2ogpt.actions import documents_kept
from openai_proxy.h2ogpt.models import model_of
from openai_proxy.h2ogpt.reading import HEADER, read
from openai_proxy.h2ogpt.wish import Wish
from openai_proxy.wire import Header


class Anything(Struct):
    """Any JSON object, within the bounds of all bodies."""


def is_wish(body: bytes) -> bool:
    """Whether an h2oGPT client sent it."""
    try:
        return reading.is_wish(TOP.decode(body))  # keys that are null are theirs, too
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


async def values(body: bytes) -> Mapping[str, Any]:
    """The values of a body of theirs. Raises InvalidJson."""
    await decode(body, Anything)
    return await beside(body, _values, body)


def _values(body: bytes) -> dict[str, Any]:
    try:
        given: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson from error
    return given


def wished(edge: Edge, given: Mapping[str, Any], kind: Literal["chat", "completion"]) -> tuple[Wish, bytes]:
    """What is asked for, and the body that OpenAI's own clients would send. Raises InvalidRequest and its kin."""
    served, name = model_of(given, edge.router, kind, edge.config.limits)
    wish = read(given, kind, served.known(name), documents=documents_kept())
    if wish.action is not None and (given.get("n") or 1) != 1:
        raise InvalidRequest("n must be 1: an answer over passages is one.", param="n")
    if wish.action is not None and kind == "completion" and not isinstance(given.get("prompt"), str):
        raise InvalidRequest("An answer over passages needs one prompt, as text.", param="prompt")
    return wish, written({**wish.fields, "model": name})


def ignored(wish: Wish) -> tuple[Header, ...]:
    """The header that names the keys without effect."""
    return ((HEADER, wish.header),) if wish.ignored else ()
