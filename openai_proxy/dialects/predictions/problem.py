"""Errors as problem details. Source: https://www.rfc-editor.org/rfc/rfc9457, as Replicate's clients read them."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from openai_proxy.errors import Fault
from openai_proxy.faults import Shape
from openai_proxy.wire import Envelope, ErrorBody

TITLES = {401: "Unauthenticated", 422: "Input validation failed"}
# What cannot be read at all is no wrong value.
UNREADABLE = frozenset({"invalid_json", "bad_request"})


class InvalidField(Struct):
    """What is wrong with an input."""

    type: str
    field: str
    description: str


class Problem(Struct):
    """An error. `code` is the one that it has in OpenAI's protocol."""

    title: str
    status: int
    detail: str
    code: str
    invalid_fields: list[InvalidField] | UnsetType = UNSET


class Both(Envelope):
    """An error for the clients of two protocols."""

    title: str
    status: int
    detail: str


def reworded(fault: Fault) -> Fault:
    """What a client asks in vain is 422 here."""
    return structs.replace(fault, status=422) if fault.status == 400 and fault.code not in UNREADABLE else fault


def render(fault: Fault) -> bytes:
    problem = Problem(_title(fault), fault.status, fault.message, fault.code)
    if fault.param is not None:
        problem.invalid_fields = [InvalidField(fault.code, fault.param, fault.message)]
    return msgspec.json.encode(problem)


def _title(fault: Fault) -> str:
    return TITLES.get(fault.status) or HTTPStatus(fault.status).phrase


def render_both(fault: Fault) -> bytes:
    """OpenAI's error and a problem in one body."""
    error = ErrorBody(fault.message, fault.type, fault.param, fault.code)
    return msgspec.json.encode(Both(error, _title(fault), fault.status, fault.message))


PROBLEM = Shape(render, b"application/problem+json", reworded)
BOTH = Shape(render_both)
