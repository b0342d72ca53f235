"""Engines and clients that are late or break: each timer with its answer and its metric, on the wire."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conftest import Serve, servers
from tests.edge import raw
from tests.edge.test_overload import body, idle, metric
from tests.running import Running

CONFIG = """
[server]
grace = 0.0

[limits]
body_bytes = 100_000

[timeouts]
body_first = 0.2
body = 0.4
queue = 0.2
first_token = 0.7
between_tokens = 0.5
request = 2.0
ping = 0.1

[models.echo]
backend = "echo"

[models.narrow]
backend = "echo"
slots = 1

[models.failing]
backend = "echo"
options = { fail = "early" }

[models.slow]
backend = "echo"
options = { load = 60.0 }
"""
DONE = b"data: [DONE]\n\n"
HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("faults")) as start:
        yield start(CONFIG, path="/livez")


@pytest.fixture(autouse=True)
def closed_circuit(server: Running) -> None:
    """A success between tests, so that their faults do not add up to an open circuit."""
    assert raw.status(exchange(server, body("echo", False))) == 200


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def exchange(server: Running, data: bytes) -> bytes:
    """The answer to a request that asks for the connection's end."""
    with connect(server) as connection:
        connection.sendall(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return raw.everything(connection)


def announced(size: int | None) -> bytes:
    length = f"Content-Length: {size}" if size is not None else "Transfer-Encoding: chunked"
    return raw.request("POST", "/v1/chat/completions", "Content-Type: application/json", length, close=False)


@pytest.mark.parametrize("start", [b"", b"{"], ids=["nothing", "a byte"])
@pytest.mark.parametrize("size", [100, None], ids=["announced", "chunked"])
def test_a_body_that_does_not_come_is_408(server: Running, start: bytes, size: int | None) -> None:
    before = metric(server, 'timeouts_total{timer="body"}')
    with connect(server) as connection:
        chunk = b"1\r\n{\r\n" if start and size is None else start
        connection.sendall(announced(size) + chunk)
        began = time.monotonic()
        answer = raw.everything(connection)
    assert 0.15 < time.monotonic() - began < 5
    assert raw.status(answer) == 408
    error = raw.error_of(answer)
    assert (error["type"], error["code"]) == ("timeout_error", "request_timeout")
    assert raw.head_of(answer)["connection"] == "close"
    assert metric(server, 'timeouts_total{timer="body"}') == before + 1


def test_a_body_that_drips_is_408_in_the_end(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(announced(90_000))
        began = time.monotonic()
        answer = b""
        connection.settimeout(0.05)
        while not answer and time.monotonic() - began < 5:
            try:
                connection.sendall(b" " * 1000)
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert 0.35 < time.monotonic() - began < 5
    assert raw.status(answer) == 408


def test_a_body_too_large_by_announcement_is_413_at_once(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(announced(4_000_000_000))
        answer = raw.everything(connection)
    assert raw.status(answer) == 413
    assert raw.error_of(answer)["code"] == "request_too_large"
    assert raw.head_of(answer)["connection"] == "close"


def test_an_endless_body_is_413_at_the_byte_too_many(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(announced(None))
        sent = 0
        answer = b""
        connection.setblocking(False)
        while not answer and sent < 50_000_000:
            try:
                sent += connection.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            except BlockingIOError:
                time.sleep(0.01)
            try:
                answer = connection.recv(65536)
            except BlockingIOError:
                continue
    assert raw.status(answer) == 413
    assert raw.error_of(answer)["code"] == "request_too_large"


@pytest.mark.slow
def test_an_engine_without_a_first_token_is_504(server: Running) -> None:
    for stream in (False, True):
        before = metric(server, 'timeouts_total{timer="first_token"}')
        answer = exchange(server, body("echo", stream, first_delay=30))
        assert raw.status(answer) == 504
        error = raw.error_of(answer)
        assert (error["type"], error["code"]) == ("timeout_error", "upstream_timeout")
        assert raw.head_of(answer)["x-should-retry"] == "false"
        assert metric(server, 'timeouts_total{timer="first_token"}') == before + 1


def events(answer: bytes) -> list[bytes]:
    """The events of a stream as it came in chunks; comments among them."""
    pieces = answer.partition(b"\r\n\r\n")[2].split(b"\n\n")
    return [piece for piece in pieces if b"data: " in piece or b": keep-alive" in piece]


@pytest.mark.parametrize(
    ("script", "timer"),
    [
        ({"stall": True, "after": 1, "chunks": 3}, "between_tokens"),
        pytest.param({"delay": 0.1, "chunks": 50}, "request", marks=pytest.mark.slow),
    ],
)
def test_an_engine_that_goes_silent_ends_the_stream_with_an_error(
    server: Running, script: dict[str, Any], timer: str
) -> None:
    before = metric(server, f'timeouts_total{{timer="{timer}"}}')
    answer = exchange(server, body("echo", True, **script))
    assert raw.status(answer) == 200
    assert DONE not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    last = json.loads(events(answer)[-1].partition(b"data: ")[2])["error"]
    assert (last["type"], last["code"]) == ("timeout_error", "upstream_timeout")
    assert raw.head_of(answer)["x-request-id"] in last["message"]
    assert metric(server, f'timeouts_total{{timer="{timer}"}}') == before + 1
    assert idle(server, "echo")


def test_an_engine_that_goes_silent_ends_a_plain_answer_with_504(server: Running) -> None:
    answer = exchange(server, body("echo", False, stall=True, after=1, chunks=3))
    assert raw.status(answer) == 504
    assert raw.error_of(answer)["code"] == "upstream_timeout"


def test_a_queue_that_does_not_move_is_503(server: Running) -> None:
    before = metric(server, 'timeouts_total{timer="queue"}')
    with connect(server) as first:
        first.sendall(body("narrow", True, delay=0.2, chunks=100))
        raw.until(first, b"data: ")
        for stream in (False, True):
            answer = exchange(server, body("narrow", stream))
            assert raw.status(answer) == 503
            assert raw.error_of(answer)["code"] == "overloaded"
            assert int(raw.head_of(answer)["retry-after"]) >= 1
    assert metric(server, 'timeouts_total{timer="queue"}') == before + 2
    raw.wait_for(lambda: idle(server, "narrow"), 2)


def test_a_model_that_loads_lets_wait_for_the_queue_timer(server: Running) -> None:
    answer = exchange(server, body("slow", False))
    assert raw.status(answer) == 503
    assert "loading" in raw.error_of(answer)["message"]
    assert server.status("/readyz") == 503
    assert server.status("/livez") == 200


@pytest.mark.slow
def test_silence_is_filled_with_comments_that_clients_ignore(server: Running) -> None:
    answer = exchange(server, body("echo", True, delay=0.25, chunks=5))
    shown = events(answer)
    assert answer.endswith(DONE + b"\r\n0\r\n\r\n")
    comments = sum(b": keep-alive" in event for event in shown)
    assert comments >= 1
    script = {"delay": 0.25, "chunks": 5, "size": 1}
    with (
        server.client() as client,
        client.chat.completions.create(
            model="echo", messages=HELLO, stream=True, extra_body={"script": script}
        ) as stream,
    ):
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "01234"


def test_an_engine_that_is_not_there_is_asked_again_and_then_503(server: Running) -> None:
    before = metric(server, 'retries_total{model="echo"}')
    for stream in (False, True):
        answer = exchange(server, body("echo", stream, fail="unavailable"))
        assert raw.status(answer) == 503
        assert raw.error_of(answer)["code"] == "engine_unavailable"
        assert "x-should-retry" not in raw.head_of(answer)
    assert metric(server, 'retries_total{model="echo"}') == before + 2
    assert raw.status(exchange(server, body("echo", False))) == 200


def test_an_engine_that_fails_is_left_alone_after_five_times(server: Running) -> None:
    codes = []
    with server.client() as client:
        for _ in range(7):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="failing", messages=HELLO)
            codes.append((caught.value.status_code, caught.value.code))
        assert client.chat.completions.create(model="echo", messages=HELLO).choices
    assert codes == [(500, "engine_failed")] * 5 + [(503, "engine_unavailable")] * 2
    assert metric(server, 'requests_total{model="failing",outcome="EngineFailed"}') == 5


def test_the_sdk_repeats_only_what_was_not_started(server: Running) -> None:
    """The SDK tries 5xx answers again by itself, unless it is told not to."""
    count = 'requests_total{model="echo",outcome="EngineFailed"}'
    before = metric(server, count)
    with server.client(max_retries=1) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="echo", messages=HELLO, extra_body={"script": {"fail": "early"}})
    assert metric(server, count) == before + 1


def test_a_reload_keeps_running_streams(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(body("echo", True, delay=0.1, chunks=8))
        first = raw.until(connection, b"data: ")
        assert raw.status(exchange(server, raw.request("POST", "/admin/reload", close=False))) == 200
        assert first + raw.until(connection, DONE)
    assert metric(server, "config_revision") == 2
    assert metric(server, 'model_ready{model="echo"}') == 1


def test_an_answer_cut_short_still_counts_its_tokens(serve: Serve) -> None:
    server = serve()
    script = {"chunks": 100, "fail": "late", "after": 7}
    with server.client() as client:
        stream = client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "x"}], stream=True, extra_body={"script": script}
        )
        with pytest.raises(openai.APIError):
            list(stream)
    assert metric(server, 'completion_tokens_total{model="echo"}') == 7
