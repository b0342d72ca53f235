"""Clients of pictures that leave, and engines that fail or are slow: nothing goes on, and everything is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.backends.remote.asking import happens, metrics
from tests.conftest import ECHO, servers
from tests.dialects.openai.local import connect
from tests.running import Running

PATH = "/v1/images/generations"
RUNNING = 'requests_running{model="echo"}'
LEFT = 'canceled_total{model="echo",reason="client_gone"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Deadlines that tests can wait for, and a model for each kind of failure: those in a row give it a pause."""
    models = "".join(f'[models.{name}]\nbackend = "echo"\n' for name in ("early", "unavailable", "late", "silent"))
    with servers(tmp_path_factory.mktemp("leaving")) as start:
        yield start(ECHO + "[timeouts]\nfirst_token = 1.5\nbetween_tokens = 1.5\n" + models)


def request(**fields: Any) -> bytes:
    body = json.dumps({"model": "echo", "prompt": "a", "size": "64x64", **fields}).encode()
    lines = [f"POST {PATH} HTTP/1.1", "host: localhost", "content-type: application/json"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"script": {"first_delay": 60}}, b""),
        ({"script": {"delay": 60}}, b""),
        ({"stream": True, "script": {"first_delay": 60}}, b""),
        ({"stream": True, "partial_images": 2, "script": {"stall": True, "after": 2}}, b"partial_image"),
    ],
)
def test_the_engine_stops_when_the_client_leaves(echo_server: Running, fields: Any, mark: bytes) -> None:
    before = metrics(echo_server)[LEFT]
    with connect(echo_server.port) as connection:
        connection.sendall(request(**fields))
        seen = b""
        while mark not in seen:
            seen += connection.recv(65_536)
        happens(lambda: metrics(echo_server)[RUNNING] == 1)
    happens(lambda: metrics(echo_server)[RUNNING] == 0, 0.5 + 2)
    assert metrics(echo_server)[LEFT] == before + 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fail", "status"), [("early", 500), ("unavailable", 503)])
def test_failures_before_the_first_picture_have_a_status(server: Running, fail: str, status: int, stream: Any) -> None:
    with server.client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(model=fail, prompt="a", stream=stream, extra_body={"script": {"fail": fail}})
    assert caught.value.status_code == status


def test_failures_later_are_the_last_event(server: Running) -> None:
    script = {"script": {"fail": "late", "after": 2}}
    with server.client() as client:
        stream = client.images.generate(
            model="late", prompt="a", stream=True, partial_images=3, size="64x64", extra_body=script
        )
        assert next(stream).type == "image_generation.partial_image"
        with pytest.raises(openai.APIError, match="engine failed"):
            list(stream)


@pytest.mark.parametrize("after", [0, 1])
def test_an_engine_that_is_silent_runs_into_the_deadline(server: Running, after: int) -> None:
    script = {"script": {"stall": True, "after": after}}
    with server.client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.images.generate(model="silent", prompt="a", size="64x64", extra_body=script)
    assert caught.value.status_code == 504
