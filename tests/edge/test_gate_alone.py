"""The gate around small applications: failures, what it adds, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import resource
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openai_proxy.accounts import Accounts
from openai_proxy.config import Config, Server
from openai_proxy.door import PLENTY, Door, raise_descriptors
from openai_proxy.gate import Gate
from openai_proxy.keys import Keys
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.origins import Origins, is_loopback
from openai_proxy.record import outcome_of


class Edge:
    def __init__(self, **server: Any) -> None:
        self.config = Config(server=Server(**server))
        self.keys = Keys()
        self.metrics = Metrics()
        self.lifecycle = Lifecycle()
        self.accounts = Accounts(lambda: self.config)
        self.admits = ()
        self.asks = ()
        self.routes = ()
        self.sockets = ()


class Call:
    """One request to a gate around `app`, and what came of it."""

    def __init__(self, app: ASGIApp, edge: Edge | None = None, **scope: Any) -> None:
        self.sent: list[Message] = []
        self.aborted = 0
        self.scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/models",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"x-request-id", b"abc")],
            "client": None,
            "extensions": {"openai_proxy.abort": {"abort": self.abort}},
            **scope,
        }
        asyncio.run(self.call(Gate(app, edge or Edge())))

    async def call(self, gate: Gate) -> None:
        await gate(self.scope, self.receive, self.send)

    def abort(self) -> None:
        self.aborted += 1

    async def receive(self) -> Message:
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def start() -> Message:
    return {"type": "http.response.start", "status": 200, "headers": []}


def test_a_failure_before_the_answer_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a secret detail")

    call = Call(app)
    assert call.sent[0]["status"] == 500
    assert (b"connection", b"close") in call.sent[0]["headers"]
    assert (b"x-request-id", b"abc") in call.sent[0]["headers"]
    error = json.loads(call.sent[1]["body"])["error"]
    assert error["code"] == "internal_error"
    assert "abc" in error["message"]
    assert b"secret" not in call.sent[1]["body"]
    assert "a secret detail" in caplog.text


def test_a_failure_after_the_start_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        raise RuntimeError("broken")

    call = Call(app)
    assert len(call.sent) == 1
    assert call.aborted == 1
    assert "broken" in caplog.text


def test_a_body_is_passed_on_untouched_and_the_head_is_not_changed_in_place() -> None:
    head = start()
    body: Message = {"type": "http.response.body", "body": b"a", "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(head)
        await send(body)

    call = Call(app)
    assert call.sent[1] is body
    assert head == start()
    assert call.scope["state"]["request_id"] == "abc"
    assert call.scope["state"]["caller"].name == "anonymous"


def test_no_answer_is_counted_as_a_client_that_left() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    edge = Edge()
    assert not Call(app, edge).sent
    assert b'route="other",status="499"' in edge.metrics.render()
    assert [outcome_of(status) for status in (200, 404, 499)] == ["ok", "error", "client_gone"]


def test_websockets_pass_the_same_checks() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"]["caller"].name == "anonymous"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    answer = Call(app, type="websocket").sent
    assert answer[0] == {"type": "websocket.accept", "headers": [(b"x-request-id", b"abc")]}
    assert len(answer) == 2
    for header, status in (((b"host", b"evil.example"), 421), ((b"origin", b"https://evil.example"), 403)):
        head = [(b"host", b"localhost"), header] if header[0] == b"origin" else [header]
        start, body = Call(app, type="websocket", headers=head).sent
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
        assert json.loads(body["body"])["error"]["message"]


def test_settings_that_change_take_effect() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())

    edge = Edge()
    gate = Gate(app, edge)
    call = Call(app, edge, headers=[(b"host", b"new.example")])
    assert call.sent[0]["status"] == 421
    edge.config = Config(server=Server(hosts=("new.example",)))
    call.sent.clear()
    asyncio.run(call.call(gate))
    assert call.sent[0]["status"] == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("example.com", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_host_is_checked_on_loopback_or_when_names_are_given() -> None:
    assert not Origins(Server()).host_allowed(b"any.example")
    assert Origins(Server(host="0.0.0.0")).host_allowed(b"any.example")
    assert not Origins(Server(host="0.0.0.0", hosts=("mine.example",))).host_allowed(b"any.example")
    assert Origins(Server(host="0.0.0.0", hosts=("MINE.example", "grün.example"))).host_allowed(b"mine.example:80")


def test_the_door_reads_limits_anew() -> None:
    edge = Edge(connections_per_peer=1)
    door = Door(edge, 1000)
    assert door.enter("10.0.0.1") is None
    assert door.enter("10.0.0.1") == "peer"
    edge.config = Config(server=Server(connections_per_peer=1, trusted_proxies=("10.0.0.0/8",)))
    assert door.enter("10.0.0.1") is None
    for reason in (None, "peer", None):
        door.leave("10.0.0.1", reason)
    assert (door.inside, door.over, dict(door.peers)) == (0, 0, {})


def test_descriptors_of_everything_else_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Edge(), 100)
    door.measure()
    assert door.elsewhere > 2
    door.elsewhere = 79
    assert door.enter("10.0.0.1") is None
    assert door.enter("10.0.0.2") == "descriptors"
    monkeypatch.setattr("os.listdir", unreadable)
    door.measure()
    assert door.elsewhere == 0


def unreadable(_: object) -> list[str]:
    raise PermissionError


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(1024, 4096, 4096), (1024, -1, PLENTY), (99_999, -1, 99_999), (-1, -1, PLENTY), (4096, 4096, 4096)],
)
def test_the_soft_limit_is_lifted(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: None)
    assert raise_descriptors() == expected


@pytest.mark.parametrize(
    ("peer", "path", "status"),
    [
        (None, "/admin/jobs", 200),
        ("127.0.0.1", "/admin/jobs", 200),
        ("::1", "/admin/reload", 200),
        ("::ffff:127.0.0.1", "/admin/reload", 200),
        ("192.0.2.1", "/admin/jobs", 403),
        ("2001:db8::1", "/admin/models/a/load", 403),
        ("192.0.2.1", "/metrics", 200),
        ("192.0.2.1", "/v1/models", 200),
    ],
)
def test_without_keys_operators_are_on_this_machine(peer: str | None, path: str, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert ("admin" in scope["state"]["caller"].scopes) == (peer != "192.0.2.1")
        await send(start())

    call = Call(app, path=path, client=None if peer is None else (peer, 1))
    assert call.sent[0]["status"] == status
