"""Several workers behind one port: they share the requests, the limits, the figures and what operators want."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.terminal import run
from tests.conftest import Serve
from tests.edge.fleet import TWO, ask, body, message, one_at_each, processes, value
from tests.edge.raw import Listen, Listener, chat, everything, get, request, status, until, wait_for
from tests.edge.test_connections import held, refused
from tests.edge.test_reload import BROKEN, MORE

FINISHED = 'openai_proxy_requests_total{model="echo",outcome="ok"}'
SMALL = f"{TWO}[models.small]\nbackend = 'echo'\nslots = 2\nqueue = 3\n"


def metrics(listener: Listener) -> bytes:
    return listener.send(get("/metrics"))


def test_each_worker_answers_and_the_supervisor_does_not(listen: Listen) -> None:
    listener = listen(TWO)
    for _ in range(40):
        assert status(listener.send(get("/health"))) == 200
    wait_for(lambda: len([line for line in listener.lines() if "access" in line]) == 40)
    assert {line["worker"] for line in listener.lines() if "access" in line} == {1, 2}
    assert set(processes(listener)) == {1, 2}
    assert listener.process.pid not in processes(listener).values()
    assert listener.errors() == []


def test_metrics_are_the_sums_of_all(listen: Listen) -> None:
    listener = listen(TWO)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: listener.send(chat(stream=False, close=True)), range(200)))
    assert {status(answer) for answer in answers} == {200}
    with one_at_each(listener) as connections:
        for connection in connections.values():
            wait_for(lambda at=connection: value(ask(at, "/metrics"), FINISHED) == 200)  # type: ignore[misc]
            text = ask(connection, "/metrics")
            assert value(text, 'openai_proxy_queue_seconds_count{model="echo"}') == 200
            assert value(text, 'openai_proxy_queue_seconds_bucket{le="+Inf",model="echo"}') == 200
            assert value(text, "openai_proxy_connections") >= 2
            assert value(text, 'openai_proxy_model_ready{model="echo"}') == 1
            assert value(text, "openai_proxy_config_revision") == 1


def test_what_was_counted_outlives_a_worker(listen: Listen) -> None:
    listener = listen(TWO)
    for _ in range(20):
        listener.send(chat(stream=False, close=True))
    wait_for(lambda: value(metrics(listener), FINISHED) == 20)  # whoever was asked has told its own
    for pid in processes(listener).values():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(message(listener, "begins")) == 4)
    assert value(metrics(listener), FINISHED) == 20
    assert value(metrics(listener), 'openai_proxy_requests_running{model="echo"}') == 0


def test_a_worker_that_stands_still_does_not_hold_up_the_metrics(listen: Listen) -> None:
    listener = listen(TWO)
    with one_at_each(listener) as connections:
        first, second = connections.values()
        ask(first, "/metrics")
        ask(second, "/metrics")
        still = processes(listener)[list(connections)[1]]
        os.kill(still, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert value(ask(first, "/metrics"), 'openai_proxy_model_ready{model="echo"}') == 1
            assert time.monotonic() - began < 2
        finally:
            os.kill(still, signal.SIGCONT)


def test_slots_and_queue_are_those_of_all_together(listen: Listen) -> None:
    listener = listen(SMALL)
    streams = [listener.connect(20) for _ in range(12)]
    for stream in streams:
        stream.sendall(body(model="small", script={"delay": 0.05, "chunks": 40}))
    with ThreadPoolExecutor(12) as threads:
        begun = time.monotonic()
        first = list(threads.map(lambda stream: (stream.recv(12), time.monotonic() - begun), streams))
    answers = [status(data) for data, _ in first]
    assert sorted(answers) == [200] * 5 + [429] * 7
    text = metrics(listener)
    assert value(text, 'openai_proxy_requests_total{model="small",outcome="QueueFull"}') == 7
    for stream in streams:
        stream.close()
    wait_for(lambda: value(metrics(listener), 'openai_proxy_requests_running{model="small"}') == 0)


def test_a_slot_given_back_in_one_worker_is_taken_in_another(listen: Listen) -> None:
    listener = listen("workers = 2\n[models.small]\nbackend = 'echo'\nslots = 1\n")
    with one_at_each(listener) as connections:
        first, second = connections.values()
        for _ in range(5):
            first.sendall(body(model="small", script={"delay": 0.05, "chunks": 4}))
            until(first, b"data: ")
            second.sendall(body(model="small", script={"chunks": 1}))
            wait_for(lambda: value(metrics(listener), 'openai_proxy_requests_waiting{model="small"}') == 1)
            until(first, b"0\r\n\r\n")
            began = time.monotonic()
            assert b"[DONE]" in until(second, b"0\r\n\r\n")
            assert time.monotonic() - began < 0.5
            first, second = second, first
    assert value(metrics(listener), 'openai_proxy_requests_waiting{model="small"}') == 0


def test_connections_of_one_peer_are_counted_everywhere(listen: Listen) -> None:
    listener = listen(f"{TWO}connections_per_peer = 5\n")
    with held(listener, 5) as connections:
        for _ in range(6):
            assert status(refused(listener, get("/v1/models"))) == 503
        assert status(refused(listener, get("/v1/models"), "127.0.0.2")) == 200
        connections.pop().close()
        wait_for(lambda: status(refused(listener, get("/v1/models"))) == 200)


def test_connections_in_all_are_counted_everywhere(listen: Listen) -> None:
    listener = listen(f"{TWO}connections = 6\nconnections_per_peer = 4\n")
    with held(listener, 3), held(listener, 3, "127.0.0.2"):
        for _ in range(6):
            assert status(refused(listener, get("/v1/models"), "127.0.0.3")) == 503
    wait_for(lambda: status(refused(listener, get("/v1/models"), "127.0.0.3")) == 200)


@pytest.mark.parametrize("by", ["signal", "request"])
def test_a_reload_reaches_all_or_none(listen: Listen, by: str) -> None:
    listener = listen(TWO)
    good = listener.config.read_text()

    def reload(expected: int) -> None:
        if by == "signal":
            listener.signal(signal.SIGHUP)
        else:
            assert status(listener.send(request("POST", "/admin/reload"))) == expected

    with one_at_each(listener) as connections:
        listener.config.write_text(good + MORE)
        reload(200)
        for connection in connections.values():
            wait_for(lambda at=connection: b'"another"' in ask(at, "/v1/models"))  # type: ignore[misc]
        listener.config.write_text(good + BROKEN)
        reload(400)
        for connection in connections.values():
            wait_for(lambda at=connection: value(ask(at, "/metrics"), "openai_proxy_config_rejected_total") == 1)  # type: ignore[misc]
            assert value(ask(connection, "/metrics"), "openai_proxy_config_revision") == 2
            assert b'"another"' in ask(connection, "/v1/models")
        assert len({ask(connection, "/v1/models") for connection in connections.values()}) == 1


def test_a_change_of_the_file_reaches_all(listen: Listen) -> None:
    listener = listen(TWO, "--watch")
    good = listener.config.read_text()

    def write(text: str) -> None:
        new = listener.config.with_suffix(".new")
        new.write_text(text)
        new.replace(listener.config)  # nobody reads half of it

    with one_at_each(listener) as connections:
        write(good + MORE)
        for connection in connections.values():
            wait_for(lambda at=connection: b'"another"' in ask(at, "/v1/models"))  # type: ignore[misc]
        write(good + BROKEN)
        wait_for(lambda: len(listener.errors()) == 1)
        write(good.replace("workers = 2", "workers = 3"))
        wait_for(lambda: len(message(listener, "server.workers takes effect at the next start")) == 1)


def test_an_order_reaches_all_and_those_that_come_later(listen: Listen) -> None:
    listener = listen(TWO)
    with one_at_each(listener) as connections, contextlib.ExitStack() as stack:
        followers = [stack.enter_context(listener.connect(10)) for _ in range(6)]
        for follower in followers:
            follower.sendall(get("/events", close=False))
            until(follower, b'"ready"')
        first, second = connections.values()
        answer = json.loads(ask(first, "/admin/models/echo/unload", "POST"))
        assert answer["state"] == "unloaded"
        for connection in (first, second):
            assert json.loads(ask(connection, "/v1/models"))["data"][0]["state"] == "unloaded"
        for follower in followers:
            until(follower, b'"unloaded"')
        os.kill(processes(listener)[next(iter(connections))], signal.SIGKILL)
        wait_for(lambda: len(message(listener, "begins")) == 3)
        for _ in range(10):
            answer = listener.send(chat(stream=False, close=True))
            assert status(answer) == 503, answer
        ask(second, "/admin/models/echo/load", "POST")
        for _ in range(10):
            assert status(listener.send(chat(stream=False, close=True))) == 200
        assert status(listener.send(get("/readyz"))) == 200


def test_an_engine_in_the_process_refuses_several_workers(tmp_path: Path) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('[server]\nworkers = 2\n[models.writer]\nbackend = "llama_cpp"\noptions.path = "/x.gguf"\n')
    for command in (("check", "--config", str(config)), ("serve", "--config", str(config))):
        ended = run(*command)
        assert ended.returncode == 2
        assert 'the engine of model "writer", backend "llama_cpp", lives in the server\'s process' in (
            ended.stdout + ended.stderr
        )
    assert run("serve", "--workers", "2", "--port", "0").returncode == 2, "the embedded models have one too"


def test_check_and_banner_tell_of_the_workers(tmp_path: Path, serve: Serve) -> None:
    config = tmp_path / "several.toml"
    config.write_text('[server]\nworkers = 3\n[models.echo]\nbackend = "echo"\n')
    assert ", with 3 workers\n" in run("check", "--config", str(config)).stdout
    server = serve('[server]\ngrace = 0\n[models.echo]\nbackend = "echo"\n', "--workers", "2")
    assert server.output().count("listens on") == 1
    assert "\nworkers  2\n" in server.output()
    assert server.stop() == 0


def test_an_engine_that_a_new_configuration_brings_is_refused(listen: Listen) -> None:
    """Even where it speaks of one worker: as many as were started still run."""
    listener = listen(TWO)
    own = '\n[models.own]\nbackend = "tests.edge.test_presence:Engine"\n'
    listener.config.write_text(listener.config.read_text().replace(TWO, "") + own)
    answer = listener.send(request("POST", "/admin/reload"))
    assert status(answer) == 400
    assert b"cannot be served by several workers" in answer


def test_a_port_that_others_share_is_not_taken(listen: Listen) -> None:
    listener = listen(TWO)
    ended = run("serve", "--backend", "echo", "--workers", "2", "--port", str(listener.port))
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


def test_one_worker_has_nothing_to_restart(listen: Listen) -> None:
    listener = listen()
    assert status(listener.send(request("POST", "/admin/restart"))) == 404
    wait_for(lambda: bool(listener.lines()))  # the log is written beside the answer
    assert "worker" not in listener.lines()[0]


def ends(connections: list[socket.socket]) -> list[bytes]:
    with ThreadPoolExecutor(len(connections)) as threads:
        return list(threads.map(everything, connections))
