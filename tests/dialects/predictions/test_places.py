"""Keys and owners, other paths, and what is full."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import requests

from openai_proxy import keys
from tests.conftest import Serve, servers
from tests.dialects.predictions.calls import BARE, PREDICTIONS
from tests.dialects.predictions.conftest import CONFIG
from tests.pictures import picture
from tests.running import Running

Guarded: TypeAlias = tuple[Running, str, str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with keys, below a path, and two of them."""
    folder = tmp_path_factory.mktemp("guarded")
    one, line = keys.new("alice")
    two, another = keys.new("bob")
    (folder / "keys").write_text(f"{line}\n{another}\n")
    more = f'[protocols]\npredictions = "/replicate"\n[jobs]\nqueued = 2\n[auth]\nkey_file = "{folder / "keys"}"\n'
    with servers(folder) as start:
        yield start(CONFIG + more, path="/health"), one, two


def ask(server: Running, method: str, path: str, key: str = "", body: Any = None) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    head = {"authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, head | ({"content-type": "application/json"} if data else {}))
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    return answer.status, answer.headers["content-type"], json.loads(told) if told else None


def test_keys_and_owners_below_a_path(guarded: Guarded) -> None:
    server, alice, bob = guarded
    place = f"/replicate{PREDICTIONS}"
    status, kind, told = ask(server, "GET", place)
    assert (status, kind, told["title"]) == (401, "application/problem+json", "Unauthenticated")
    for method, path in (("POST", f"{place}/any/cancel"), ("GET", "/replicate/v1/models/local/echo/versions")):
        assert ask(server, method, path, "wrong")[:2] == (401, "application/problem+json")
    body = {"version": BARE, "input": {"prompt": "a"}}
    status, _, told = ask(server, "POST", place, alice, body)
    assert status == 201
    path = told["urls"]["get"].removeprefix(server.url)
    assert path == f"{place}/{told['id']}"
    assert ask(server, "GET", path, alice)[0] == 200
    for method, other in (("GET", path), ("POST", f"{path}/cancel"), ("GET", f"{path}/stream")):
        assert ask(server, method, other, bob)[0] == 404
    assert len(ask(server, "GET", place, alice)[2]["results"]) == 1
    assert ask(server, "GET", place, bob)[2]["results"] == []
    assert ask(server, "GET", "/replicate/v1/account", bob)[2]["username"] == "bob"
    files = {"content": ("a.png", picture())}
    head = {"authorization": f"Bearer {alice}"}
    made = requests.post(f"{server.url}/replicate/v1/files", files=files, headers=head, timeout=20).json()
    path = made["urls"]["get"].removeprefix(server.url)
    assert (ask(server, "GET", path, alice)[0], ask(server, "GET", path, bob)[0]) == (200, 404)
    assert "results" not in ask(server, "GET", "/v1/models", alice)[2]
    assert ask(server, "GET", "/replicate/v1/models/local/echo", alice)[2]["owner"] == "local"
    assert ask(server, "GET", PREDICTIONS, alice)[0] == 404


def test_a_protocol_that_is_off_is_not_there(serve: Serve) -> None:
    server = serve(f"{CONFIG}[protocols]\npredictions = false\n")
    assert [ask(server, "GET", path)[0] for path in (PREDICTIONS, "/v1/account", "/v1/files")] == [404] * 3
    assert "results" not in ask(server, "GET", "/v1/models")[2]


def test_too_many_that_wait_are_told_when_to_come_back(guarded: Guarded) -> None:
    server, _, bob = guarded
    url, head = f"{server.url}/replicate{PREDICTIONS}", {"authorization": f"Bearer {bob}"}
    body: dict[str, Any] = {"version": "org/family--one", "input": {"prompt": "a"}}
    answers = [requests.post(url, json=body, headers=head, timeout=20) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    told = answers[3].json()
    assert (told["title"], told["code"]) == ("Too Many Requests", "too_many_jobs")
    assert int(answers[3].headers["retry-after"]) >= 1
    for answer in answers[:3]:
        requests.post(answer.json()["urls"]["cancel"], headers=head, timeout=20)
