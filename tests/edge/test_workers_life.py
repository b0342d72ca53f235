"""How workers end: by a drain, a second signal, kill -9, a restart one after another, or with their supervisor."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest

from tests.edge.fleet import TWO, alive, ask, message, one_at_each, processes
from tests.edge.raw import Listen, Listener, chat, get, request, status, until, wait_for
from tests.edge.test_drain import ends, refuses, streams


def test_streams_that_end_in_time_end_well(listen: Listen) -> None:
    listener = listen(f"{TWO}drain = 10.0\n")
    open_streams = streams(listener, 12, delay=0.05, chunks=20)
    listener.signal(signal.SIGTERM)
    wait_for(lambda: refuses(listener), timeout=2)
    assert all(b"data: [DONE]" in end and end.endswith(b"0\r\n\r\n") for end in ends(open_streams))
    assert listener.wait() == 0
    assert listener.errors() == []
    assert not any(map(alive, processes(listener).values()))


def test_streams_that_do_not_end_in_time_end_with_an_error(listen: Listen) -> None:
    listener = listen(f"{TWO}drain = 0.5\n")
    open_streams = streams(listener, 8, delay=0.05, chunks=10_000)
    listener.signal(signal.SIGINT)
    for end in ends(open_streams):
        assert b'"code":"draining"' in end
        assert b"[DONE]" not in end
    assert listener.wait() == 0
    assert listener.errors() == []


def test_a_second_signal_ends_all_within_two_seconds(listen: Listen) -> None:
    listener = listen(f"{TWO}drain = 60.0\n")
    open_streams = streams(listener, 8, delay=0.05, chunks=10_000)
    stuck = processes(listener)[2]
    os.kill(stuck, signal.SIGSTOP)  # even one that does not hear it
    listener.signal(signal.SIGTERM)
    time.sleep(0.3)
    began = time.monotonic()
    listener.signal(signal.SIGTERM)
    assert listener.wait(5) == 1
    assert time.monotonic() - began < 2.4
    assert not any(map(alive, processes(listener).values()))
    for stream in open_streams:
        stream.close()


def test_a_killed_worker_loses_only_its_own_streams(listen: Listen) -> None:
    listener = listen(TWO)
    open_streams = streams(listener, 20, close=True, delay=0.05, chunks=80)
    os.kill(processes(listener)[1], signal.SIGKILL)
    began = time.monotonic()
    for _ in range(20):  # also while there is none in its place
        assert status(listener.send(get("/v1/models"))) == 200
    assert time.monotonic() - began < 2
    wait_for(lambda: len(message(listener, "begins")) == 3)
    with one_at_each(listener):
        pass
    found = ends(open_streams)
    whole = [end for end in found if b"[DONE]" in end]
    cut = [end for end in found if b"[DONE]" not in end]
    assert 0 < len(whole) < 20
    assert not any(end.endswith(b"0\r\n\r\n") for end in cut), "a stream that breaks off must not end quietly"
    assert [line["message"] for line in listener.errors()] == ["worker 1 died: killed by SIGKILL"]


def test_a_worker_that_dies_again_and_again_ends_the_server(listen: Listen) -> None:
    listener = listen(TWO)
    for death in range(5):
        wait_for(lambda count=death: len(message(listener, "worker 2 begins")) == count + 1)  # type: ignore[misc]
        os.kill(processes(listener)[2], signal.SIGKILL)
    assert listener.wait() == 1
    assert listener.errors()[-1]["message"] == "worker 2 cannot be kept alive: the server ends"


def restart(listener: Listener, by: str) -> None:
    if by == "signal":
        listener.signal(signal.SIGUSR2)
    else:
        assert status(listener.send(request("POST", "/admin/restart"))) == 202


@pytest.mark.parametrize("by", ["signal", "request"])
def test_a_restart_loses_no_stream_and_refuses_no_connection(listen: Listen, by: str) -> None:
    listener = listen(TWO)
    before = processes(listener)
    open_streams = streams(listener, 50, delay=0.05, chunks=60)
    kept = [listener.connect(20) for _ in range(10)]
    done = threading.Event()
    answers: list[int] = []

    def go_on() -> None:
        while not done.is_set():
            answers.append(status(listener.send(chat(stream=False, close=True))))

    asking = threading.Thread(target=go_on)
    asking.start()
    restart(listener, by)
    wait_for(lambda: len(message(listener, "all workers are restarted")) == 1)
    assert status(listener.send(request("POST", "/admin/restart"))) in (202, 409)
    for connection in kept:
        connection.sendall(get("/health", close=False))
        assert status(until(connection, b"}")) == 200
    assert all(b"[DONE]" in end and end.endswith(b"0\r\n\r\n") for end in ends(open_streams))
    done.set()
    asking.join()
    assert len(answers) > 20
    assert set(answers) == {200}
    wait_for(lambda: not any(map(alive, before.values())))
    assert listener.errors() == []
    for connection in kept:
        connection.close()


def test_connections_that_wait_to_be_taken_outlive_a_worker(listen: Listen) -> None:
    """A closed listener resets what waits in its queue: here others hold it too."""
    listener = listen(TWO)
    for pid in processes(listener).values():
        os.kill(pid, signal.SIGSTOP)
    waiting: list[socket.socket] = []
    for _ in range(20):
        connection = listener.connect(20)
        connection.sendall(get("/v1/models"))
        waiting.append(connection)
    for pid in processes(listener).values():
        os.kill(pid, signal.SIGKILL)
    assert {status(end) for end in ends(waiting)} == {200}


def test_workers_end_with_their_supervisor(listen: Listen) -> None:
    listener = listen(f"{TWO}drain = 2.0\n")
    open_streams = streams(listener, 4, delay=0.05, chunks=10)
    workers = processes(listener)
    listener.signal(signal.SIGKILL)
    assert all(b"[DONE]" in end for end in ends(open_streams))
    wait_for(lambda: not any(map(alive, workers.values())), timeout=10)
    assert refuses(listener)


def test_a_signal_to_a_worker_alone_is_not_an_order(listen: Listen) -> None:
    listener = listen(TWO)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        os.kill(processes(listener)[1], number)
    with one_at_each(listener) as connections:
        for connection in connections.values():
            assert b"ready" in ask(connection, "/readyz")
    assert len(message(listener, "begins")) == 2
