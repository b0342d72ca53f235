"""A server process of the listener's own, and raw bytes to and from it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.running import ROOT, environment

ECHO = '[models.echo]\nbackend = "echo"\n'
HOST = b"Host: localhost\r\n"


class Listener:
    """A running server. `log` is the file that holds its standard error."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *arguments: str,
        descriptors: int = 0,
        stdin: int = subprocess.DEVNULL,
        **env: str,
    ) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(text)
        self.log = folder / "log"
        command = [sys.executable, "-m", "tests.edge.launch", str(self.config), *arguments]
        if descriptors:
            command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**env), stdin=stdin, stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        self.port = int(words[1]) if words else 0

    def connect(self, timeout: float = 10, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0))

    def send(self, data: bytes, timeout: float = 10) -> bytes:
        """All that comes back on one connection until the server closes it."""
        with self.connect(timeout) as connection:
            connection.sendall(data)
            return everything(connection)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 15) -> int:
        return self.process.wait(timeout)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines of the log; the last one may still be on its way."""
        return [json.loads(line) for line in self.log.read_text().rpartition("\n")[0].splitlines()]

    def errors(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["level"] in ("error", "critical")]


Listen: TypeAlias = Callable[..., Listener]


def everything(connection: socket.socket) -> bytes:
    """What arrives until the end of the connection, however it ends."""
    pieces = []
    try:
        while piece := connection.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def until(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def get(path: str, *lines: str, close: bool = True) -> bytes:
    return request("GET", path, *lines, close=close)


def request(method: str, path: str, *lines: str, body: bytes = b"", close: bool = True) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines]
    if close:
        head.append("Connection: close")
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def chat(stream: bool = True, close: bool = False, **script: Any) -> bytes:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], "stream": stream, "script": script}
    return request("POST", "/v1/chat/completions", body=json.dumps(body).encode(), close=close)


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer[9:12])


def head_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def error_of(answer: bytes) -> dict[str, Any]:
    """The error object of a refusal, after checking its shape."""
    body = answer.partition(b"\r\n\r\n")[2]
    head = head_of(answer)
    assert head["content-type"] == "application/json"
    assert head["x-request-id"]
    assert "server" not in head
    assert len(body) == int(head["content-length"]) <= 4096
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) - {"queue_position", "estimated_wait"} == {"message", "type", "param", "code"}
    return error


def wait_for(condition: Callable[[], bool], timeout: float = 5) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
