"""Pages of a list, the newest first. A cursor, opaque to clients, is where its page and those before it begin."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from openai_proxy.dialects.predictions.prediction import Prediction
from openai_proxy.errors import InvalidRequest

# Pages that a reader can go back.
LONGEST_TRAIL = 100


class Page(Struct, kw_only=True):
    """A page and the addresses of those beside it."""

    previous: str | None = None
    next: str | None = None
    results: list[Prediction]


def cursor_of(trail: Sequence[int]) -> str:
    """The query of the page at the end of `trail`."""
    if not trail:
        return ""
    packed = msgspec.msgpack.encode(trail[-LONGEST_TRAIL:])
    return f"?cursor={base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def trail_of(query: bytes) -> tuple[int, ...]:
    """What a query's cursor says; nothing for the first page. Raises InvalidRequest."""
    [cursor] = parse_qs(query.decode("latin-1")).get("cursor", [""])[:1]
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(packed, type=tuple[int, ...]) if packed else ()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("cursor is none of this server's.", param="cursor") from error
