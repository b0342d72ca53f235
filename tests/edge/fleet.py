"""What tests ask of a server of several workers: its processes, and who answered what."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.edge.raw import Listener, get, request, status, until, wait_for

TWO = "workers = 2\n"
BEGINS = re.compile(r"worker (\d+) begins: process (\d+)")


def processes(listener: Listener) -> dict[int, int]:
    """The newest process of each worker, by the worker's number."""
    found = (BEGINS.search(line.get("message", "")) for line in listener.lines())
    return {int(each[1]): int(each[2]) for each in found if each}


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and is not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answered_by(listener: Listener, identity: str) -> int:
    """The number of the worker that answered the request with this id."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [line["worker"] for line in listener.lines() if line.get("access", {}).get("request_id") == identity]
        return bool(found)

    wait_for(look)
    return found[0]


@contextlib.contextmanager
def one_at_each(listener: Listener) -> Iterator[dict[int, socket.socket]]:
    """A connection that stays open to each of two workers, by the worker's number."""
    with contextlib.ExitStack() as stack:
        connections: dict[int, socket.socket] = {}
        for attempt in range(100):
            connection = stack.enter_context(listener.connect())
            identity = f"find-{attempt}-{os.urandom(4).hex()}"
            connection.sendall(get("/health", f"X-Request-Id: {identity}", close=False))
            until(connection, b"}")
            connections.setdefault(answered_by(listener, identity), connection)
            if len(connections) == 2:
                break
        assert len(connections) == 2
        yield connections


def ask(connection: socket.socket, path: str, method: str = "GET") -> bytes:
    """The body of an answer on a connection that stays open."""
    connection.sendall(request(method, path, close=False))
    head, _, body = until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
    assert status(head) < 300, head + body
    found = re.search(rb"content-length: (\d+)", head)
    assert found
    while len(body) < int(found[1]):
        body += connection.recv(65536)
    return body


def value(text: bytes, sample: str) -> float:
    """One sample of the text exposition; 0 where it is absent."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def message(listener: Listener, part: str) -> list[dict[str, Any]]:
    """The lines of the log whose message has this in it."""
    return [line for line in listener.lines() if part in line.get("message", "")]


def body(**fields: Any) -> bytes:
    """A chat with any model."""
    whole = {"messages": [{"role": "user", "content": "hello"}], "stream": True, **fields}
    return request("POST", "/v1/chat/completions", body=json.dumps(whole).encode(), close=False)
