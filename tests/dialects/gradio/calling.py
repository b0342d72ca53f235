"""What tests ask of a server as Gradio's clients do, on raw connections."""

from __future__ import annotations

import ast
import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.running import Running

CHAT = "submit_nochat_api"


class Answer:
    """A whole answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def dict(self) -> Any:
        """The dict in the one output of a call."""
        return ast.literal_eval(self.json["data"][0])


class Caller:
    """A client without a cookie or a key; `headers` go with every request."""

    base = ""

    def __init__(self, server: Running, **headers: str) -> None:
        self.server = server
        self.headers = headers

    def by(self, **headers: str) -> Caller:
        """Another client of the same server."""
        return type(self)(self.server, **headers)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = self.connection()
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            kind = {} if data is None else {"content-type": "application/json"}
            connection.request(method, self.base + path, data, {**kind, **self.headers, **headers})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("POST", path, body, **headers)

    def api(self, name: str, *arguments: Any) -> Answer:
        """A call by one request."""
        return self.post(f"/api/{name}", {"data": list(arguments)})

    def chat(self, **given: Any) -> Any:
        """The dict that answers a dict."""
        answer = self.api(CHAT, str(given))
        assert answer.status == 200, answer.body
        return answer.dict

    def login(self, username: str, password: str) -> Answer:
        form = f"username={username}&password={password}".encode()
        return self.request("POST", "/login", form, **{"content-type": "application/x-www-form-urlencoded"})

    def logged_in(self, username: str, password: str) -> Caller:
        """A client with the cookie of a login."""
        answer = self.login(username, password)
        assert answer.status == 200, answer.body
        return self.by(cookie=str(answer.headers["set-cookie"]).partition(";")[0])

    # The queue

    def join(self, session: str, *arguments: Any, index: int = 0, at: str = "/gradio_api") -> Answer:
        body = {"data": list(arguments), "fn_index": index, "session_hash": session}
        return self.post(f"{at}/queue/join", body)

    def event(self, session: str, **given: Any) -> str:
        """The id of an event of a chat."""
        answer = self.join(session, str(given))
        assert answer.status == 200, answer.body
        return str(answer.json["event_id"])

    @contextmanager
    def stream(self, session: str, at: str = "/gradio_api") -> Iterator[Iterator[dict[str, Any]]]:
        """The messages of a session, but for heartbeats."""
        connection = self.connection()
        try:
            connection.request("GET", f"{self.base}{at}/queue/data?session_hash={session}", headers=self.headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield (each for each in messages(response) if each["msg"] != "heartbeat")
        finally:
            connection.close()

    def told(self, session: str, at: str = "/gradio_api") -> list[dict[str, Any]]:
        """All messages of a session but for heartbeats, until its stream ends."""
        with self.stream(session, at) as stream:
            return list(stream)

    def socket(self, *, max_size: int = 2**20, **headers: str) -> ClientConnection:
        """A WebSocket, as gradio_client 0.6.1 opens it, for messages of at most so many bytes."""
        url, headers = f"ws://127.0.0.1:{self.server.port}{self.base}/queue/join", {**self.headers, **headers}
        return connect(url, additional_headers=headers, proxy=None, open_timeout=10, max_size=max_size)


class Below(Caller):
    """A client of a server that has this protocol below a path."""

    base = "/h2ogpt"


class Keyed(Caller):
    """A client of a server with keys, and the keys."""

    alice, bob = "sk-alice-0123456789abcdef", "sk-bob-0123456789abcdefgh"


def messages(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """What a stream says: each line is a message, each message is followed by one empty line."""
    while line := response.readline():
        assert line.startswith(b"data: "), line
        assert line.endswith(b"}\n"), line
        assert response.readline() == b"\n"
        yield json.loads(line[len(b"data: ") :])


def session() -> str:
    return str(uuid.uuid4())


def said(message: dict[str, Any]) -> Any:
    """The dict in a message's output."""
    return ast.literal_eval(message["output"]["data"][0])
