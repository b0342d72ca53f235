"""Bodies that clients of an Infernet node send. Unknown keys are ignored, as the node does."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct, field

# Strings as they are; then a comma before what closes. Whatever does not end is taken to the end, once.
TRAILING = re.compile(rb'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))|,(?=\s*[}\]])', re.DOTALL)
SHORT = 65_536


class JobRequest(Struct):
    """Work for `containers`, one after another; the first gets `data`."""

    containers: list[str]
    data: dict[str, Any]
    requires_proof: bool | None = False


class StatusReport(Struct):
    """`PUT /api/status`: how a job stands that is worked on elsewhere."""

    id: str
    status: str
    containers: list[str]
    data: dict[str, Any] = field(default_factory=dict)


def read(body: bytes) -> Any:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def read_forgivingly(body: bytes) -> Any:
    """The same, with commas before a closing bracket, as the node's documentation has it. Raises ValueError."""
    try:
        return read(body)
    except ValueError:
        if len(body) > SHORT:
            raise
        return read(TRAILING.sub(rb"\1", body))


def job_request(value: object) -> JobRequest:
    """Raises ValueError."""
    return msgspec.convert(value, JobRequest)


def is_subscription(value: object) -> bool:
    """Whether this asks for work at intervals, signed by who owns a contract."""
    return isinstance(value, dict) and "subscription" in value
