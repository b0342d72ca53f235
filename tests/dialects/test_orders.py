"""Loading, unloading, sleeping and waking over HTTP and on the command line, and what everybody is told of it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from openai_proxy import keys
from tests.conftest import Serve
from tests.edge.raw import wait_for
from tests.running import ROOT, Running, environment

MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]
TWO = """
[server]
grace = 0.0
[models.echo]
backend = "echo"
aliases = ["gpt-4o-mini"]
[models."org/other"]
backend = "echo"
"""


def post(server: Running, model: str, order: str, key: str = "") -> tuple[int, dict[str, Any]]:
    status, _, body = exchange(server, "POST", f"/admin/models/{model}/{order}", key)
    return status, json.loads(body)


def exchange(server: Running, method: str, path: str, key: str = "") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, headers={"authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def state(server: Running, model: str = "echo") -> str:
    entry = json.loads(exchange(server, "GET", f"/v1/models/{model}")[2])
    assert entry["id"] == model
    return str(entry["state"])


def chat(server: Running, model: str = "echo", **more: Any) -> Any:
    with server.client() as client:
        return client.chat.completions.create(model=model, messages=MESSAGES, **more)


@contextmanager
def stream(server: Running, **script: Any) -> Iterator[Iterator[Any]]:
    """A stream whose first chunk has come."""
    with server.client() as client:
        chunks = client.chat.completions.create(
            model="echo", messages=MESSAGES, stream=True, extra_body={"script": script}
        )
        received = iter(chunks)
        next(received)
        yield received
        chunks.close()


def wait_for_state(server: Running, wanted: str, model: str = "echo", seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while state(server, model) != wanted:
        assert time.monotonic() < end, state(server, model)
        time.sleep(0.02)


def test_orders_and_what_is_told_of_them(serve: Serve) -> None:
    server = serve(TWO)
    for order, told in (("unload", "unloaded"), ("load", "ready"), ("sleep", "sleeping"), ("wake", "ready")):
        for _ in range(2):
            status, body = post(server, "gpt-4o-mini", order)
            assert (status, body) == (200, {"id": "echo", "state": told, "note": "", "fraction": None})
        assert (state(server), state(server, "gpt-4o-mini"), state(server, "org/other")) == (told, told, "ready")
        metrics = exchange(server, "GET", "/metrics")[2].decode()
        assert f'openai_proxy_model_state{{model="echo",state="{told}"}} 1.0' in metrics
        assert f'openai_proxy_model_ready{{model="echo"}} {float(told == "ready")}' in metrics
        assert f'{{"id":"echo","state":"{told}"' in exchange(server, "GET", "/readyz")[2].decode()
    assert post(server, "org/other", "unload")[1]["state"] == "unloaded"
    assert '"level":"error"' not in server.output()


def test_an_unloaded_model_refuses_and_a_sleeping_one_wakes(serve: Serve) -> None:
    server = serve()
    post(server, "echo", "unload")
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server)
    assert (refused.value.status_code, refused.value.code) == (503, "engine_unavailable")
    assert refused.value.response.headers["retry-after"] == "120"
    assert "unloaded by an operator" in refused.value.message
    post(server, "echo", "load")
    post(server, "echo", "sleep")
    assert chat(server).choices[0].message.content == "hello"
    assert state(server) == "ready"


@pytest.mark.parametrize(
    ("before", "order", "says"), [("unload", "sleep", "is unloaded"), ("unload", "wake", "has to be loaded")]
)
def test_orders_that_make_no_sense(serve: Serve, before: str, order: str, says: str) -> None:
    server = serve()
    post(server, "echo", before)
    status, headers, body = exchange(server, "POST", f"/admin/models/echo/{order}")
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["x-should-retry"]) == (409, "wrong_state", "false")
    assert says in error["message"]


def test_unknown_models_and_orders(serve: Serve) -> None:
    server = serve()
    assert post(server, "none", "load")[1]["error"]["code"] == "model_not_found"
    assert post(server, "echo", "restart")[1]["error"]["code"] == "not_found"
    assert exchange(server, "GET", "/admin/models/echo/load")[0] == 405


def test_orders_need_their_scope(serve: Serve, tmp_path: Path) -> None:
    user, line = keys.new("alice")
    admin, another = keys.new("ops", "admin,user")
    (tmp_path / "keys").write_text(f"{line}\n{another}\n")
    server = serve(f'{TWO}[auth]\nkey_file = "{tmp_path / "keys"}"\n', path="/health")
    assert post(server, "echo", "unload")[1]["error"]["code"] == "missing_api_key"
    assert post(server, "echo", "unload", user)[1]["error"]["code"] == "insufficient_scope"
    assert post(server, "echo", "unload", admin) == (
        200,
        {"id": "echo", "state": "unloaded", "note": "", "fraction": None},
    )


def test_what_runs_ends_well_while_it_unloads(serve: Serve) -> None:
    server = serve()
    with stream(server, delay=0.05, chunks=20) as chunks:
        unloading = threading.Thread(target=post, args=(server, "echo", "unload"))
        unloading.start()
        wait_for_state(server, "stopping")
        with pytest.raises(openai.InternalServerError, match="unloaded"):
            chat(server)
        assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    unloading.join(10)
    assert state(server) == "unloaded"


SLOW = """
[server]
grace = 0.0
[timeouts]
queue = 0.3
[models.echo]
backend = "echo"
load = "request"
options = { load = 1.0 }
"""


def test_who_waits_too_long_for_a_load_is_told_when_to_come_back(serve: Serve) -> None:
    server = serve(SLOW)
    assert state(server) == "unloaded"
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server)
    assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
    assert int(refused.value.response.headers["retry-after"]) >= 1
    assert "still loading" in refused.value.message
    assert exchange(server, "GET", "/readyz")[0] == 503
    with server.client(max_retries=5) as client:
        answer = client.chat.completions.create(model="echo", messages=MESSAGES)
    assert answer.choices[0].message.content == "hello"
    assert exchange(server, "GET", "/readyz")[0] == 200


def test_an_order_that_takes_long_answers_202(serve: Serve) -> None:
    server = serve(SLOW)
    status, body = post(server, "echo", "load")
    assert (status, body["state"]) == (202, "loading")
    assert post(server, "echo", "sleep")[0] == 409
    assert post(server, "echo", "unload")[0] == 200
    while status == 202:
        status, body = post(server, "echo", "load")
    assert (status, body["state"]) == (200, "ready")


def test_two_clients_and_two_orders_wake_it_once(serve: Serve) -> None:
    server = serve(SLOW.replace("queue = 0.3", "queue = 30.0"))
    assert post(server, "echo", "load")[1]["state"] == "ready"
    assert post(server, "echo", "sleep")[1]["state"] == "sleeping"
    with ThreadPoolExecutor() as threads:
        answers = [threads.submit(chat, server) for _ in range(2)]
        orders = [threads.submit(post, server, "echo", "wake") for _ in range(2)]
        assert [answer.result().choices[0].message.content for answer in answers] == ["hello", "hello"]
        assert [order.result()[1]["state"] for order in orders] == ["ready", "ready"]
    wait_for(lambda: server.output().count("is ready after") == 2)  # loaded, and woken


def test_a_client_that_leaves_while_a_model_wakes_is_forgotten(serve: Serve) -> None:
    server = serve(SLOW.replace("queue = 0.3", "queue = 30.0"))
    with server.client(timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="echo", messages=MESSAGES)
    end = time.monotonic() + 2
    while b'requests_waiting{model="echo"} 0.0' not in exchange(server, "GET", "/metrics")[2]:
        assert time.monotonic() < end
    wait_for_state(server, "ready")


@pytest.mark.parametrize("load", ["start", "request"])
def test_the_end_of_the_server_calls_a_load_off(serve: Serve, load: str) -> None:
    config = SLOW.replace("queue = 0.3", "queue = 30.0").replace('"request"', f'"{load}"')
    server = serve(config.replace("load = 1.0", "load = 60.0"), path="")
    told: list[int] = []

    def ask() -> None:
        with pytest.raises(openai.InternalServerError) as refused:
            chat(server)
        told.append(refused.value.status_code)

    waiting = threading.Thread(target=ask)
    waiting.start()
    wait_for_state(server, "loading")
    while b'requests_waiting{model="echo"} 1.0' not in exchange(server, "GET", "/metrics")[2]:
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 0
    waiting.join(5)
    assert told == [503]


def test_idle_models_rest_and_readiness_does_not_mind(serve: Serve) -> None:
    server = serve(SLOW.replace('load = "request"', "idle_after = 0.2").replace("load = 1.0", ""))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/events")
    with connection.getresponse() as answer:
        while b'"state":"sleeping"' not in answer.readline():
            pass
    connection.close()
    wait_for_state(server, "sleeping")
    assert exchange(server, "GET", "/readyz")[0] == 200
    assert chat(server).choices[0].message.content == "hello"


@pytest.mark.parametrize(("default", "status"), [("", 200), ('default_model = "echo"\n', 503)])
def test_readiness_without_a_model_that_an_operator_unloaded(serve: Serve, default: str, status: int) -> None:
    server = serve(default + TWO)
    post(server, "echo", "unload")
    assert exchange(server, "GET", "/readyz")[0] == status


def held(server: Running) -> tuple[int, int, int]:
    """Descriptors, threads and child processes."""
    folder = Path(f"/proc/{server.pid}")
    tasks = list(folder.glob("task/*"))
    children = [(task / "children").read_text().split() for task in tasks]
    return len(list(folder.glob("fd/*"))), len(tasks), sum(map(len, children))


def quiet(server: Running) -> tuple[int, int, int]:
    """The same once it has not changed for a while: connections close a moment after their client's end."""
    seen = [held(server)]
    while len(seen) < 5 or len(set(seen[-5:])) > 1:
        time.sleep(0.1)
        seen.append(held(server))
        assert len(seen) < 100, seen
    return seen[-1]


def cycles(server: Running, model: str, count: int) -> None:
    for _ in range(count):
        assert post(server, model, "unload")[1]["state"] == "unloaded"
        assert post(server, model, "load")[1]["state"] == "ready"
        assert chat(server, model, max_tokens=2).usage is not None


def test_ten_cycles_leave_nothing_behind(serve: Serve) -> None:
    server = serve()
    cycles(server, "echo", 1)
    before = quiet(server)
    cycles(server, "echo", 10)
    assert quiet(server) == before


@pytest.mark.engine
@pytest.mark.slow
def test_cycles_of_a_real_engine_leave_nothing_behind(serve: Serve) -> None:
    server = serve(None, timeout=540)
    model = "smollm2-135m-instruct"
    cycles(server, model, 1)
    before = quiet(server)
    cycles(server, model, 3)
    assert quiet(server) == before
    assert post(server, model, "unload")[0] == 200
    assert quiet(server)[2] < before[2]


def command(server: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "openai_proxy", "models", *arguments, "--base-url", server.base_url]
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)


def test_orders_on_the_command_line(serve: Serve) -> None:
    server = serve(SLOW)
    done = command(server, "load", "echo")
    assert (done.returncode, done.stdout) == (0, "echo  ready\n")
    assert done.stderr.startswith("echo  loading")
    assert command(server, "sleep", "echo").stdout == "echo  sleeping\n"
    done = command(server, "unload", "echo", "--json")
    assert json.loads(done.stdout) == {"id": "echo", "state": "unloaded", "note": "", "fraction": None}
    done = command(server, "wake", "echo")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has to be loaded" in done.stderr
    done = command(server, "load", "org/nothing")
    assert done.returncode == 1
    assert "404" in done.stderr


@pytest.mark.parametrize("arguments", [("load",), ("restart", "echo"), ("load", "echo", "--watch")])
def test_orders_that_are_no_orders(echo_server: Running, arguments: tuple[str, ...]) -> None:
    assert command(echo_server, *arguments).returncode == 2
