"""The control routes, `/fake/script`, `/fake/seen` and `/fake/reset`: they need no key and meet no fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from openai_proxy.fake_upstream.answers import Whole, encode, error
from openai_proxy.fake_upstream.requests import Request
from openai_proxy.fake_upstream.script import Script


class Steered(Protocol):
    """What can be steered."""

    def seen(self, last: int | None = None) -> dict[str, Any]: ...

    def direct(self, values: Mapping[str, Any]) -> Script:
        """Raises ValueError."""
        ...

    def reset(self) -> None: ...


def answer(steered: Steered, request: Request) -> Whole:
    match request.method, request.path:
        case "POST", "/fake/script":
            return _script(steered, request.body)
        case "GET", "/fake/script":
            return Whole(encode(steered.direct({})))
        case "GET", "/fake/seen":
            last = parse_qs(request.query).get("last", [""])[0]
            return Whole(encode(steered.seen(int(last) if last.isdecimal() else None)))
        case "POST", "/fake/reset":
            steered.reset()
            return Whole(b"{}")
    return Whole(error(404, "known are POST /fake/script, GET /fake/seen and POST /fake/reset", "not_found"), 404)


def _script(steered: Steered, body: bytes) -> Whole:
    try:
        return Whole(encode(steered.direct(msgspec.json.decode(body, type=dict[str, Any]))))
    except (ValueError, msgspec.DecodeError) as wrong:
        return Whole(error(400, str(wrong), "invalid_value"), 400)
