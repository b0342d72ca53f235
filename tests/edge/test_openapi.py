"""The OpenAPI document is true: generated requests get documented answers, never a 5xx, on every operation."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from msgspec import json
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from openai_proxy.app import create_app
from openai_proxy.company import Order
from openai_proxy.config import Config, Limits, ModelConfig
from openai_proxy.keys import Keys
from tests.running import Running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
UNBOUNDED = ("/events", "/admin/reload")
# They answer with the statuses of an Infernet node, 500 for what cannot be read, and with lists.
OF_NODES = ("/resources", "/api/jobs", "/api/jobs/batch", "/api/jobs/stream", "/api/status")
# Other names than those of the API are other protocols', and streams last; below the prefix is the same as at the root.
OF_GRADIO = ("/api/{api_name}", "/run/{api_name}", "/heartbeat/{session_hash}", "/queue/data", "/reset")
ORDERS = tuple(f"/admin/models/{{id}}/{order}" for order in get_args(Order))


def document(limits: Limits | None = None) -> dict[str, Any]:
    async def make() -> dict[str, Any]:
        config = Config(models={"echo": ModelConfig(backend="echo")}, limits=limits or Limits())
        return create_app(config, Keys()).document()

    return asyncio.run(make())


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    with requests.Session() as opened:
        yield opened


def keyless() -> dict[str, Any]:
    """The document of a server that asks for no key: none can be missing, then."""
    described = document()
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["security"] = []
    return described


excluded = [*UNBOUNDED, *ORDERS, *OF_NODES, *OF_GRADIO]
schema = schemathesis.openapi.from_dict(keyless()).exclude(path=excluded).exclude(path_regex="^/gradio_api/")


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_documented(
    case: schemathesis.Case[Any], echo_server: Running, session: Any
) -> None:
    response = case.call(base_url=echo_server.url, session=session)
    # An unknown query string is ignored, as everywhere; an unknown field of a body is not.
    # In a form all is text: a number may stand for a text there, and a list without anything in it leaves no trace.
    typed = case.operation.body and case.media_type == "application/json"
    case.validate_response(response, checks=[*CHECKS, negative_data_rejection] if typed else CHECKS)
    assert response.elapsed < 5


def test_every_route_is_described() -> None:
    async def routes() -> set[str]:
        app = create_app(Config(models={"echo": ModelConfig(backend="echo")}), Keys())
        return {route.path_format for route in app.starlette.routes if isinstance(route, Route)}

    assert asyncio.run(routes()) - {"/openapi.json", "/docs"} == set(document()["paths"])


def test_configured_limits_are_in_the_document() -> None:
    fields = document(Limits(n=3, messages=7))["components"]["schemas"]["ChatBody"]["properties"]
    assert any(arm.get("maximum") == 3 for arm in fields["n"]["anyOf"])
    assert fields["messages"]["maxItems"] == 7
    form = document(Limits(image_prompt=3, media=2))["components"]["schemas"]["EditBody"]["properties"]
    assert form["prompt"]["maxLength"] == 3
    assert form["image[]"] == {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": 2}
    assert form["mask"]["anyOf"][0] == {"type": "string", "format": "binary"}


@pytest.mark.parametrize(
    ("path", "kind"), [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")]
)
def test_the_document_and_its_page_are_served(echo_server: Running, path: str, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", echo_server.port, timeout=10)
    connection.request("GET", path, headers={"connection": "close"})
    with connection.getresponse() as answer:
        body = answer.read()
    connection.close()
    assert (answer.status, answer.getheader("content-type")) == (200, kind)
    if path == "/docs":
        assert b"/v1/chat/completions" in body
        assert b"max_completion_tokens" in body
        assert b"<script" not in body
    else:
        assert json.decode(body)["paths"].keys() >= {"/v1/chat/completions"}
