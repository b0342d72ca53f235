"""SIGTERM with streams open, a second one, SIGINT, and the port while it drains."""

from __future__ import annotations

import os
import pty
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.edge.raw import Listen, Listener, chat, error_of, everything, get, head_of, status, until, wait_for


def streams(listener: Listener, count: int, **script: Any) -> list[socket.socket]:
    """Streams of which the first event has come."""
    connections = [listener.connect(30) for _ in range(count)]
    for connection in connections:
        connection.sendall(chat(**script))
        until(connection, b"data: ")
    return connections


def ends(connections: list[socket.socket]) -> list[bytes]:
    with ThreadPoolExecutor(len(connections)) as threads:
        found = list(threads.map(everything, connections))
    for connection in connections:
        connection.close()
    return found


def test_streams_that_end_in_time_end_well(listen: Listen) -> None:
    listener = listen("drain = 10.0\n")
    open_streams = streams(listener, 4, delay=0.05, chunks=10)
    listener.signal(signal.SIGTERM)
    assert all(b"data: [DONE]" in end and end.endswith(b"0\r\n\r\n") for end in ends(open_streams))
    assert listener.wait() == 0
    assert listener.errors() == []


def test_streams_that_do_not_end_in_time_end_with_an_error(listen: Listen) -> None:
    listener = listen("drain = 0.5\n")
    open_streams = streams(listener, 4, delay=0.05, chunks=10_000)
    began = time.monotonic()
    listener.signal(signal.SIGTERM)
    for end in ends(open_streams):
        assert b'"code":"draining"' in end
        assert b"[DONE]" not in end
        assert not end.endswith(b"0\r\n\r\n")
    assert listener.wait() == 0
    assert 0.4 < time.monotonic() - began < 5
    assert listener.errors() == []


def test_a_whole_answer_that_is_taken_slowly_has_no_error_in_it(listen: Listen) -> None:
    listener = listen("drain = 0.5\n")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", listener.port))
        connection.sendall(chat(stream=False, chunks=100, size=200_000))
        taken = until(connection, b"chat.completion")
        listener.signal(signal.SIGTERM)
        time.sleep(1.0)
        taken += everything(connection)
    assert status(taken) == 200
    assert b'"error"' not in taken
    assert listener.wait() == 0
    assert listener.errors() == []


def refuses(listener: Listener) -> bool:
    try:
        listener.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.slow
def test_the_port_stays_open_but_not_ready_for_the_grace(listen: Listen) -> None:
    listener = listen("grace = 0.6\ndrain = 5.0\n")
    kept = listener.connect()
    kept.sendall(get("/health", close=False))
    until(kept, b"}")
    open_streams = streams(listener, 1, delay=0.05, chunks=30)
    listener.signal(signal.SIGTERM)
    wait_for(lambda: status(listener.send(get("/readyz"))) == 503, timeout=0.5)
    assert status(listener.send(get("/v1/models"))) == 200
    assert status(listener.send(get("/health"))) == 200
    time.sleep(0.6)
    wait_for(lambda: refuses(listener), timeout=2)
    kept.sendall(get("/v1/models", close=False))
    answer = everything(kept)
    assert (status(answer), error_of(answer)["code"]) == (503, "draining")
    assert int(head_of(answer)["retry-after"]) >= 1
    assert head_of(answer)["connection"] == "close"
    kept.close()
    assert b"[DONE]" in ends(open_streams)[0]
    assert listener.wait() == 0


def test_queued_requests_are_turned_away(listen: Listen) -> None:
    listener = listen("drain = 0.5\n[models.single]\nbackend = 'echo'\nslots = 1\n")
    single = chat(delay=0.05, chunks=10_000).replace(b'"echo"', b'"single"').replace(b"Length: ", b"Length: 00")
    running, queued = listener.connect(), listener.connect()
    body = single.partition(b"\r\n\r\n")[2]
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    running.sendall(data)
    until(running, b"data: ")
    queued.sendall(data)
    wait_for(lambda: b'requests_waiting{model="single"} 1.0' in listener.send(get("/metrics")))
    listener.signal(signal.SIGTERM)
    answer = everything(queued)
    assert b'"code":"draining"' in answer
    assert b'"code":"draining"' in everything(running)
    running.close()
    queued.close()
    assert listener.wait() == 0


def test_a_second_signal_ends_it_within_two_seconds(listen: Listen) -> None:
    listener = listen("drain = 60.0\n")
    open_streams = streams(listener, 4, delay=0.05, chunks=10_000)
    listener.signal(signal.SIGTERM)
    time.sleep(0.3)
    began = time.monotonic()
    listener.signal(signal.SIGTERM)
    assert listener.wait(5) == 1
    assert time.monotonic() - began < 2.2
    assert all(b'"error"' in end for end in ends(open_streams))


def test_a_second_signal_in_the_grace_ends_it_too(listen: Listen) -> None:
    listener = listen("grace = 60.0\n")
    listener.signal(signal.SIGTERM)
    time.sleep(0.3)
    listener.signal(signal.SIGINT)
    assert listener.wait(5) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_without_grace(listen: Listen, number: signal.Signals) -> None:
    listener = listen()
    began = time.monotonic()
    listener.signal(number)
    assert listener.wait() == 0
    assert time.monotonic() - began < 2
    assert listener.errors() == []


@pytest.mark.slow
def test_a_client_that_takes_nothing_does_not_hold_up_the_end(listen: Listen) -> None:
    listener = listen("drain = 0.5\n")
    stuck = listener.connect()
    stuck.sendall(chat(flood=True))
    until(stuck, b"data: ")
    time.sleep(0.3)
    began = time.monotonic()
    listener.signal(signal.SIGTERM)
    assert listener.wait() == 0
    assert time.monotonic() - began < 8
    stuck.close()


def test_an_interrupt_at_a_terminal_needs_no_grace(listen: Listen) -> None:
    outer, inner = pty.openpty()
    listener = listen("grace = 60.0\n", stdin=inner)
    listener.signal(signal.SIGINT)
    assert listener.wait() == 0
    os.close(outer)
    os.close(inner)
