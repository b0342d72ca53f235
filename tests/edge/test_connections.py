"""How many connections there may be, and what becomes of those whose client takes nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.edge.raw import Listen, Listener, chat, error_of, everything, get, head_of, status, until, wait_for


@contextlib.contextmanager
def held(listener: Listener, count: int, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Connections that have had an answer and stay open."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(listener.connect(source=source)) for _ in range(count)]
        for connection in connections:
            connection.sendall(get("/health", close=False))
            assert status(until(connection, b"}")) == 200
        yield connections


def refused(listener: Listener, data: bytes, source: str = "127.0.0.1") -> bytes:
    with listener.connect(source=source) as connection:
        connection.sendall(data)
        return everything(connection)


def code(connection: socket.socket) -> int:
    """The status of the next answer, 0 when the connection was reset."""
    try:
        return status(connection.recv(65536))
    except ConnectionResetError:
        return 0


def test_connections_of_one_peer(listen: Listen) -> None:
    listener = listen("connections_per_peer = 5\n")
    with held(listener, 5) as connections:
        answer = refused(listener, get("/v1/models", close=False))
        assert status(answer) == 503
        assert error_of(answer)["code"] == "overloaded"
        assert int(head_of(answer)["retry-after"]) >= 1
        assert head_of(answer)["connection"] == "close"
        assert status(refused(listener, get("/v1/models"), "127.0.0.2")) == 200
        assert status(refused(listener, get("/health", close=False))) == 200, "liveness keeps a reserve"
        connections.pop().close()
        wait_for(lambda: status(refused(listener, get("/v1/models"))) == 200)


def test_connections_in_all(listen: Listen) -> None:
    listener = listen("connections = 6\nconnections_per_peer = 4\n")
    with held(listener, 3), held(listener, 3, "127.0.0.2"):
        assert status(refused(listener, get("/v1/models"), "127.0.0.3")) == 503
        metrics = refused(listener, get("/metrics"), "127.0.0.3")
        assert status(metrics) == 503
    wait_for(lambda: b'refused_total{reason="total"} 2.0' in listener.send(get("/metrics")))


def test_a_silent_connection_over_the_limit_is_answered_too(listen: Listen) -> None:
    listener = listen("connections = 2\n[timeouts]\nhead = 0.3\n")
    with held(listener, 2):
        began = time.monotonic()
        assert status(refused(listener, b"")) == 503
        assert time.monotonic() - began < 4


def test_a_crowd_over_the_limit_is_turned_away_unheard(listen: Listen) -> None:
    listener = listen("connections = 2\nconnections_per_peer = 1000\n")
    with held(listener, 2), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(listener.connect()) for _ in range(60)]
        assert status(everything(crowd[-1])) == 503
        assert listener.process.poll() is None
    wait_for(lambda: status(listener.send(get("/v1/models"))) == 200)
    assert listener.errors() == []


def test_trusted_proxies_may_open_more(listen: Listen) -> None:
    listener = listen('connections_per_peer = 2\ntrusted_proxies = ["127.0.0.1"]\n')
    with held(listener, 10), held(listener, 2, "127.0.0.2"):
        assert status(refused(listener, get("/v1/models"))) == 200
        assert status(refused(listener, get("/v1/models"), "127.0.0.2")) == 503


@pytest.mark.slow
def test_descriptors_leave_a_reserve(listen: Listen) -> None:
    listener = listen("connections_per_peer = 1000\n", descriptors=64)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(listener.connect()) for _ in range(60)]
        for connection in connections:
            connection.sendall(get("/v1/models", close=False))
        codes = [code(connection) for connection in connections]
        assert codes.count(200) >= 20
        assert codes.count(503) >= 3
        assert set(codes) <= {200, 503, 0}
        wait_for(lambda: status(listener.send(get("/health"))) == 200)
    wait_for(lambda: status(listener.send(get("/v1/models"))) == 200)
    assert listener.errors() == []


def test_a_client_that_takes_nothing_is_cut(listener: Listener) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", listener.port))
        connection.sendall(chat(stream=False, chunks=50, size=200_000))
        connection.recv(1)
        wait_for(lambda: b'timeouts_total{timer="send"}' in listener.send(get("/metrics")), timeout=8)
    wait_for(lambda: any(line.get("access", {}).get("outcome") == "client_gone" for line in listener.lines()))
    assert listener.errors() == []


@pytest.mark.parametrize("close", [True, False])
def test_a_client_that_takes_its_time_gets_the_whole_answer(listener: Listener, close: bool) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", listener.port))
        connection.sendall(chat(stream=False, close=close, chunks=50, size=200_000))
        slow_until = time.monotonic() + 2.0  # longer than `send` and `keep_alive` together
        data = until(connection, b"\r\n\r\n")
        body = data.partition(b"\r\n\r\n")[2]
        taken, length = len(body), int(head_of(data)["content-length"])
        while taken < length:
            slow = time.monotonic() < slow_until
            time.sleep(0.02 if slow else 0)
            piece = connection.recv(2000 if slow else 1_000_000)
            assert piece, f"cut after {taken} of {length} bytes"
            taken += len(piece)
        assert (taken, length > 10_000_000) == (length, True)


def test_a_reset_connection_is_no_error(listener: Listener) -> None:
    for _ in range(5):
        connection = listener.connect()
        connection.sendall(chat(delay=0.02, chunks=100))
        until(connection, b"data: ")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()
    wait_for(lambda: b'requests_running{model="echo"} 0.0' in listener.send(get("/metrics")), timeout=2)
    assert listener.errors() == []


def test_a_disconnect_is_noticed_behind_a_pipelined_request(listener: Listener) -> None:
    connection = listener.connect()
    connection.sendall(chat(delay=0.05, chunks=1000) + get("/health"))
    until(connection, b"data: ")
    connection.close()
    wait_for(lambda: b'requests_running{model="echo"} 0.0' in listener.send(get("/metrics")), timeout=2)


def test_a_stream_that_breaks_has_an_error_event_and_no_clean_end(listener: Listener) -> None:
    answer = listener.send(chat(chunks=10, fail="late", after=3, delay=0.01) + get("/health"))
    assert status(answer) == 200
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in answer
    event = [line for line in answer.split(b"\r\n") if line.startswith(b"data: ")][-1]
    assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == "engine_failed"
    assert answer.count(b"HTTP/1.1 ") == 1
    assert listener.errors() == []
