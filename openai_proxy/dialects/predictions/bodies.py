"""What clients write. Source: https://replicate.com/docs/reference/http, and for /v1/run the pages that show it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

LONGEST_WAIT = 60
WAIT = re.compile(r"wait(?:\s*=\s*\"?(\d{1,9})\"?)?")


class PredictionBody(Struct, kw_only=True):
    """`input` and its model: `version` or `model`, where the path does not say it. `stream` changes nothing."""

    input: dict[str, Any]
    version: str | None = None
    model: str | None = None
    stream: bool | None = None
    webhook: Annotated[
        str | None, Meta(description="an address that is called with the prediction, signed, as it goes on")
    ] = None
    webhook_completed: Annotated[str | None, Meta(description="the same, for `completed` alone")] = None
    webhook_events_filter: Annotated[
        list[Literal["start", "output", "logs", "completed"]] | None,
        Meta(description="what the webhook is told of; all if absent or empty"),
    ] = None


class RunBody(Struct, kw_only=True):
    """`POST /v1/run` and `POST /v1/run_sse`."""

    input: dict[str, Any]
    model: str | None = None
    version: str | None = None


def wait_of(head: Mapping[bytes, bytes]) -> int | None:
    """How many seconds a client wants to wait: Prefer: wait, or wait=5 (RFC 7240)."""
    for preference in head.get(b"prefer", b"").decode("latin-1").lower().split(","):
        found = WAIT.fullmatch(preference.partition(";")[0].strip())
        if found is not None:
            return min(int(found[1] or LONGEST_WAIT), LONGEST_WAIT) or None
    return None


def key_of(head: Mapping[bytes, bytes], path: str, body: PredictionBody | RunBody) -> tuple[str | None, bytes]:
    """The client's Idempotency-Key, and what tells whether it is the same request."""
    key = head.get(b"idempotency-key")
    if key is None:
        return None, b""
    return key.decode("latin-1"), hashlib.sha256(path.encode() + b"\0" + msgspec.json.encode(body)).digest()
