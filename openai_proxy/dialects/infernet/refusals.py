"""Errors as an Infernet node answers them: {"error": ..., "params": {...}}, with the node's own statuses.

Released clients expect these statuses, odd as they are: 405 for what is not served, 500 for a body that cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from openai_proxy.errors import Fault
from openai_proxy.wire import Flow, Handle, Incoming, Reply

NOT_SERVED, MALFORMED = 405, 500
# Characters of a text, and of all params as JSON, that a client is told back.
LONGEST_TEXT, LONGEST_PARAMS = 100, 3000


class Refused(Exception):
    """`error` and `params` are what the client is told; without `params` there are none. Long ones are cut."""

    def __init__(self, status: int, error: str, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.told: dict[str, Any] = {"error": error} if params is None else {"error": error, "params": _cut(params)}


def _cut(params: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in params.items()}
    return told if len(json.dumps(told)) <= LONGEST_PARAMS else {}


def not_served(error: str, **params: Any) -> Refused:
    """What this node does not do."""
    return Refused(NOT_SERVED, error, params)


def malformed(what: str, why: object) -> Refused:
    """A body that cannot be read; `what` could therefore not be done."""
    return Refused(MALFORMED, f"{what}: {why}")


def render(fault: Fault) -> bytes:
    """All other errors, in the same shape."""
    params = {} if fault.param is None else {"param": fault.param}
    return msgspec.json.encode({"error": fault.message, "params": params})


def answering(handle: Callable[[Incoming], Awaitable[Reply | Flow]]) -> Handle:
    """The handler with refusals as answers."""

    async def answered(incoming: Incoming) -> Reply | Flow:
        try:
            return await handle(incoming)
        except Refused as refused:
            # The standard library writes integers of any size, as signatures have them.
            return Reply(json.dumps(refused.told).encode(), status=refused.status)

    return answered
