"""What operators ask, asked of a real server: readiness, events, metrics and a reload by HTTP."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Iterator
from itertools import takewhile

import pytest

from openai_proxy import keys
from tests.conftest import Serve
from tests.running import Running

SLOW = '[server]\ngrace = 0.0\n[models.slow]\nbackend = "echo"\noptions = { load = 0.5 }\n'


def ask(server: Running, method: str, path: str, key: str = "") -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers={"authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def states(answer: http.client.HTTPResponse) -> Iterator[str]:
    """The states that /events tells, to its end."""
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))["state"]


def test_readiness_follows_the_models(serve: Serve) -> None:
    server = serve(SLOW, path="")
    status, body = ask(server, "GET", "/readyz")
    assert (status, body["status"]) == (503, "not ready")
    assert ask(server, "GET", "/health") == ask(server, "GET", "/livez") == (200, {"status": "healthy"})
    server.wait_for("/readyz", 10)
    told = ask(server, "GET", "/readyz")[1]
    assert told["models"] == [{"id": "slow", "state": "ready", "note": "", "fraction": None}]
    assert told["jobs"] == "ready"


def test_a_request_waits_for_its_model(serve: Serve) -> None:
    server = serve(SLOW, path="")
    with server.client() as client:
        answer = client.chat.completions.create(model="slow", messages=[{"role": "user", "content": "early"}])
    assert answer.choices[0].message.content == "early"


def test_events_tell_each_change_and_end_with_the_server(serve: Serve) -> None:
    server = serve(SLOW, path="")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/events")
    with connection.getresponse() as answer:
        told = states(answer)
        assert set(takewhile(lambda state: state != "ready", told)) == {"loading"}
        server.process.send_signal(signal.SIGTERM)
        assert list(told) == []
    connection.close()
    assert server.process.wait(10) == 0
    assert '"level":"error"' not in server.output()


def test_reload_by_http_takes_good_files_and_keeps_out_bad_ones(serve: Serve) -> None:
    server = serve()
    file = server.log.with_name("config0.toml")
    good = file.read_text()
    file.write_text(good + '[models.second]\nbackend = "echo"\n')
    assert ask(server, "POST", "/admin/reload")[0] == 200
    assert ask(server, "GET", "/v1/models/second")[0] == 200
    file.write_text(good + '[models.third]\nbackend = "ecko"\n')
    status, body = ask(server, "POST", "/admin/reload")
    assert status == 400
    error = body["error"]
    assert isinstance(error, dict)
    assert "echo" in error["message"]
    assert ask(server, "GET", "/v1/models/second")[0] == 200
    assert ask(server, "GET", "/v1/models/third")[0] == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/admin/reload")])
def test_operators_need_their_scope(serve: Serve, method: str, path: str) -> None:
    token, _ = keys.new("alice")
    server = serve(OPENAI_PROXY_KEYS=f"alice={token}", path="")
    status, body = ask(server, method, path, token)
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (403, "insufficient_scope")
