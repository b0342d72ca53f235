"""Somebody who is called by webhooks: on a loopback port, answering as the path says, noting what comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct


class Call(Struct):
    """One that came, at `time` (monotonic seconds)."""

    path: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def event(self) -> str:
        return self.id.split("_")[2]

    def signed(self, key: bytes) -> bool:
        """Whether it was, as README says that receivers find out."""
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        mine = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert abs(time.time() - int(self.headers["webhook-timestamp"])) < 60
        return mine in self.headers["webhook-signature"].split()


class Receiver:
    """`/fail/N/...` fails N times, `/stall/...` does not answer before the end, all else is taken."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = int(server.server_address[1])
        self.calls: list[Call] = []
        self.seen: Counter[str] = Counter()
        self.came = threading.Condition()
        self.over = threading.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def take(self, call: Call) -> int:
        """The status to answer with."""
        with self.came:
            self.calls.append(call)
            self.seen[call.path] += 1
            number = self.seen[call.path]
            self.came.notify_all()
        if call.path.startswith("/stall/"):
            self.over.wait(20)
        failing = int(call.path.split("/")[2]) if call.path.startswith("/fail/") else 0
        return 503 if number <= failing else 200

    def at(self, path: str) -> list[Call]:
        with self.came:
            return [call for call in self.calls if call.path == path]

    def wait(self, path: str, event: str, number: int = 1) -> list[Call]:
        """All calls of a path, once so many of them told of that event."""

        def there() -> bool:
            return sum(call.path == path and call.event == event for call in self.calls) >= number

        with self.came:
            assert self.came.wait_for(there, 20), [(call.path, call.id) for call in self.calls]
        return self.at(path)


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Somebody who listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Call(self.path, headers, body, time.monotonic()))
            if not self.path.startswith("/stall/"):
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
