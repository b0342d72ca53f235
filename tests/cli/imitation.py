"""The least server that the SDK can talk to: it streams prepared words and remembers what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WORDS = ("Hello", ", ", "world")


class Imitation:
    """What the server shall do, and what it saw. `stopped` is set when a client leaves in the middle of an answer."""

    def __init__(self) -> None:
        self.words: tuple[str, ...] = WORDS
        self.reasoning = ""
        self.delay = 0.0
        self.key: str | None = None
        self.error_after: int | None = None
        self.requests: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.pages: dict[str, Any] = {}
        self.stopped = threading.Event()
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def imitation() -> Iterator[Imitation]:
    """A running server on a free port of the loopback interface."""
    behaviour = Imitation()

    class Handler(Answering):
        imitation = behaviour

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    behaviour.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield behaviour
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Answering(http.server.BaseHTTPRequestHandler):
    imitation: Imitation

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        if self.refused():
            return
        if self.path == "/v1/models":
            listed = [
                {"id": "tiny", "object": "model", "created": 1, "owned_by": "test", "state": "ready"},
                {"id": "gpt", "object": "model", "created": 1, "owned_by": "test", "root": "tiny"},
            ]
            self.answer(200, {"object": "list", "data": listed})
        elif self.path == "/events":
            self.begin_stream()
            self.wfile.write(b": hello\n\nevent: other\ndata: {}\n\n")
            for event in self.imitation.events:
                self.wfile.write(b"event: model\ndata: " + json.dumps(event).encode() + b"\n\n")
        elif self.path in self.imitation.pages:
            self.answer(200, self.imitation.pages[self.path])
        else:
            self.answer(404, error("not here", "not_found"))

    def do_POST(self) -> None:
        if self.path in self.imitation.pages:
            self.answer(200, self.imitation.pages[self.path])
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.imitation.requests.append(body)
        if self.refused():
            return
        if body["model"] not in {"tiny", "gpt"}:
            self.answer(404, error(f"no model \x1b[31m{body['model']}", "model_not_found"))
            return
        self.begin_stream()
        try:
            self.stream(body)
        except (BrokenPipeError, ConnectionResetError):
            self.imitation.stopped.set()

    def refused(self) -> bool:
        key = self.imitation.key
        if key is None or self.headers["authorization"] == f"Bearer {key}":
            return False
        self.answer(401, error("wrong key", "invalid_api_key"))
        return True

    def stream(self, body: dict[str, Any]) -> None:
        self.chunk({"role": "assistant", "content": ""})
        if self.imitation.reasoning:
            self.chunk({"reasoning_content": self.imitation.reasoning})
        for number, word in enumerate(self.imitation.words):
            if number == self.imitation.error_after:
                self.event(error("the engine broke\x1b[2J", "engine_failed"))
                return
            self.chunk({"content": word})
            time.sleep(self.imitation.delay)
        self.chunk({}, "stop")
        if body.get("stream_options", {}).get("include_usage"):
            count = len(self.imitation.words)
            usage = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count}
            self.event({**self.head(), "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def head(self) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
        self.event({**self.head(), "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    def event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
