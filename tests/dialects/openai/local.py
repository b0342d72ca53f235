"""The application in this process, without a socket: for many small requests whose answers are whole."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Self

from msgspec import Struct
from starlette.types import Message

from openai_proxy.app import create_app
from openai_proxy.config import AccountSettings, Config, Limits, ModelConfig
from openai_proxy.keys import Keys
from openai_proxy.settings.documents import DocumentSettings

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
SHAPE = {"message", "type", "param", "code"}


def chat(**fields: Any) -> dict[str, Any]:
    """A valid chat body and what a test adds."""
    return {"model": "echo", "messages": [{"role": "user", "content": "one two three"}], **fields}


def completion(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "prompt": "one two three", **fields}


def embedding(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "input": "one two three", **fields}


class Answer(Struct):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, after checking that all around it is as every error must be."""
        assert self.status >= 400, self.body
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"]
        assert len(self.body) <= 4096
        assert set(self.json) == {"error"}
        error: dict[str, Any] = self.json["error"]
        assert set(error) == SHAPE
        assert isinstance(error["message"], str)
        assert error["message"]
        return error

    def refusal(self, status: int, code: str, param: str | None) -> None:
        """Assert that this is that refusal."""
        error = self.error
        assert (self.status, error["code"], error["param"]) == (status, code, param), error


def connect(port: int) -> socket.socket:
    """A bare connection to a real server."""
    return socket.create_connection(("127.0.0.1", port), 20)


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One exchange with a real server; an underscore in a header's name means a hyphen."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"content-type": "application/json"} | named if body else named)
        response = connection.getresponse()
        data = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, data)
    finally:
        connection.close()


class Local:
    """The application with the model `echo` if no others are given, to be used in a `with`."""

    keys = Keys()

    def __init__(
        self,
        limits: Limits | None = None,
        default_model: str | None = None,
        models: Mapping[str, ModelConfig] | None = None,
        accounts: AccountSettings | None = None,
        keys: Keys | None = None,
        documents: DocumentSettings | None = None,
    ) -> None:
        self.keys = keys or self.keys
        self.runner = asyncio.Runner()
        models = models or {"echo": ModelConfig(backend="echo", aliases=("parrot",))}
        self.config = Config(
            models=models,
            limits=limits or Limits(),
            default_model=default_model,
            accounts=accounts or AccountSettings(),
            documents=documents or DocumentSettings(),
        )
        self.runner.run(self._start())

    async def _start(self) -> None:
        self.app = create_app(self.config, self.keys)
        self.app.edge.router.start()
        await asyncio.sleep(0)

    async def _close(self) -> None:
        await self.app.edge.documents.close()
        await self.app.edge.router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self._close())
        self.runner.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """POST bytes as they are, anything else as JSON; an underscore in a header's name means a hyphen."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return self.send("POST", path, data, [(b"content-type", b"application/json"), *named])

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = (), pieces: int = 1
    ) -> Answer:
        """Any request; the body arrives in so many pieces."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-length", b"%d" % len(body)), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        return self.runner.run(self._exchange(scope, body, pieces))

    async def _exchange(self, scope: dict[str, Any], body: bytes, pieces: int) -> Answer:
        size = max(1, -(-len(body) // pieces))
        chunks = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        answer = Answer(0, {}, b"")

        async def receive() -> Message:
            if chunks:
                return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                assert not answer.status
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer
