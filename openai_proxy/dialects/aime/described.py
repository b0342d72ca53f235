"""The operations as `/openapi.json` has them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from openai_proxy.dialects.aime.faults import FaultBody
from openai_proxy.openapi import Operation
from openai_proxy.wire import Envelope


class LoginAnswer(Struct):
    """A key for a while; `key` is the API key that was sent, where everybody may call."""

    success: bool
    ep_version: int
    client_session_auth_key: str
    key: str | None


class Validation(Struct):
    """Whether a key is good."""

    success: bool
    error: str | None


class EndpointList(Struct):
    """The names of the endpoints that a key may use."""

    endpoints: list[str]


class EndpointDetails(Struct):
    """An endpoint; `workers` are the engines behind it, `parameter_description` is what it takes and tells."""

    name: str
    title: str
    description: str
    http_methods: list[str]
    version: int
    category: str
    max_queue_length: int
    max_time_in_queue: float | None
    free_queue_slots: int
    num_workers: int
    num_active_workers: int
    workers: list[dict[str, Any]]
    parameter_description: dict[str, dict[str, Any]]


class JobAnswer(Struct):
    """A job that was taken; what the endpoint tells is there too if its end was waited for."""

    success: bool
    job_id: str
    ep_version: int


class JobStanding(Struct):
    """How a job stands; `job_result` is there when it is done."""

    success: bool
    job_id: str
    ep_version: int
    job_state: str
    progress: dict[str, Any]
    job_result: dict[str, Any] = {}


BOTH = ("GET", "POST")
DESCRIBED: tuple[tuple[tuple[str, ...], str, str, type[Struct]], ...] = (
    (BOTH, "/login", "Log in to all endpoints, or to the one of `endpoint_name`; AIME", LoginAnswer),
    (BOTH, "/get_client_session_auth_key", "The same", LoginAnswer),
    (BOTH, "/api/validate_key", "Whether `key` is good; AIME", Validation),
    (BOTH, "/api/endpoints", "The endpoints that `key` may use; AIME", EndpointList),
    (BOTH, "/api/endpoints/{endpoint}", "What an endpoint takes and tells; AIME", EndpointDetails),
    (("GET",), "/api/{endpoint}", "The same", EndpointDetails),
    (BOTH, "/{endpoint}", "Have an endpoint do something, and wait for it or not; AIME", JobAnswer),
    (BOTH, "/{endpoint}/progress", "How the job of `job_id` stands; AIME", JobStanding),
    (BOTH, "/{endpoint}/login", "Log in to an endpoint; AIME", LoginAnswer),
    (BOTH, "/{endpoint}/get_client_session_auth_key", "The same", LoginAnswer),
)
OPERATIONS = tuple(
    Operation(method, path, summary, reply=reply, faults=(FaultBody, Envelope), statuses=(402,))
    for methods, path, summary, reply in DESCRIBED
    for method in methods
)
