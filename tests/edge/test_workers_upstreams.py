"""Upstreams in several workers: an order to one worker holds for all of them, and each tells of all requests."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.fleet import TWO, ask, body, one_at_each, processes
from tests.edge.raw import Listen, Listener, get, until, wait_for
from tests.upstream import Upstream, threaded

PATH = "/admin/models/far/upstreams"
CONFIG = """
[models.far]
backend = "remote"
upstreams = [{{ url = "{a}", name = "a" }}, {{ url = "{b}", name = "b" }}]
options = {{ slow_start = 0, {options} }}
"""


@pytest.fixture
def pair() -> Iterator[tuple[Upstream, Upstream]]:
    with threaded(models=("*",), name="a") as a, threaded(models=("*",), name="b") as b:
        a.script(listed=[{"id": "one"}])
        b.script(listed=[{"id": "one"}])
        yield a, b


def started(listen: Listen, pair: tuple[Upstream, Upstream], options: str = "retries = 1") -> Listener:
    listener = listen(TWO + CONFIG.format(a=pair[0].url, b=pair[1].url, options=options))
    wait_for(lambda: b" 200 " in listener.send(get("/readyz"))[:20])
    return listener


def states(connection: socket.socket) -> dict[str, Any]:
    return {
        each["name"]: (each["state"], each["outstanding"]) for each in json.loads(ask(connection, PATH))["upstreams"]
    }


def test_an_order_to_one_worker_holds_for_all(listen: Listen, pair: tuple[Upstream, Upstream]) -> None:
    listener = started(listen, pair)
    with one_at_each(listener) as connections:
        ask(connections[1], f"{PATH}/a/drain", "POST")
        for connection in connections.values():
            assert states(connection)["a"] == ("drained", 0)
            everything = json.loads(ask(connection, "/admin/upstreams"))["models"]
            assert [each["id"] for each in everything] == ["far"]
            for _ in range(3):
                connection.sendall(body(model="far", stream=False))
                assert b'"model":"far"' in until(connection, b"}}")
        assert "/v1/chat/completions" not in pair[0].seen().paths
        ask(connections[2], f"{PATH}/a/undrain", "POST")
        for connection in connections.values():
            assert states(connection)["a"] == ("up", 0)


def test_a_new_worker_knows_what_was_drained(listen: Listen, pair: tuple[Upstream, Upstream]) -> None:
    listener = started(listen, pair)
    with one_at_each(listener) as connections:
        ask(connections[1], f"{PATH}/b/drain", "POST")
        before = processes(listener)[1]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: processes(listener)[1] != before, timeout=10)
    with one_at_each(listener) as connections:
        for connection in connections.values():
            assert states(connection)["b"] == ("drained", 0)


def test_each_worker_tells_of_the_requests_of_all(listen: Listen, pair: tuple[Upstream, Upstream]) -> None:
    listener = started(listen, pair)
    pair[0].script(chunks=1000, delay=0.05)
    with one_at_each(listener) as connections:
        ask(connections[1], f"{PATH}/b/drain", "POST")
        connections[1].sendall(body(model="far"))
        until(connections[1], b"data: ")
        ask(connections[2], f"{PATH}/a/drain", "POST")
        assert states(connections[2])["a"] == ("draining", 1)


def test_names_that_upstreams_list_are_known_to_all(listen: Listen, pair: tuple[Upstream, Upstream]) -> None:
    listener = started(listen, pair, 'models = "*", prefix = "far/"')
    with one_at_each(listener) as connections:
        for connection in connections.values():
            listed = json.loads(ask(connection, "/v1/models"))["data"]
            assert "far/one" in [each["id"] for each in listed]
            connection.sendall(body(model="far/one", stream=False))
            assert b'"model":"far/one"' in until(connection, b"}}")
        assert json.loads(ask(connections[1], "/admin/models/far/unload", "POST"))["state"] == "unloaded"
        assert json.loads(ask(connections[2], "/v1/models/far/one"))["state"] == "unloaded"
