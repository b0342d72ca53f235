"""Who may call, under which name: against a real server."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from openai_proxy.app import create_app
from openai_proxy.config import Config
from openai_proxy.keys import Keys
from tests.edge.raw import ECHO, Listen, Listener, error_of, everything, get, head_of, request, status, wait_for

USER = "sk-user-key-0123456789abcdef"
ADMIN = "sk-admin-key-0123456789abcdef"
AS_USER = f"Authorization: Bearer {USER}"
AS_ADMIN = f"Authorization: Bearer {ADMIN}"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """A server with a user's key in a file and an admin's in the environment."""
    folder = tmp_path_factory.mktemp("locked")
    digest = hashlib.sha256(USER.encode()).hexdigest()
    (folder / "keys").write_text(f"alice user {digest} 2026-01-01T00:00:00Z\n")
    settings = (
        f'[server]\nport = 0\ngrace = 0.0\nhosts = ["proxy.example"]\norigins = ["https://good.example"]\n'
        f'trusted_proxies = ["127.0.0.0/8"]\n[auth]\nkey_file = "{folder / "keys"}"\n'
        "[infernet]\nnetworks = []\n"
    )
    started = Listener(folder, settings + ECHO, OPENAI_PROXY_KEYS=f"ops:admin={ADMIN}")
    yield started
    started.stop()


# Gradio's clients ask for these before they can show a key, and learn nothing of this server by them.
FOR_STRANGERS = ("/health", "/livez", "/config", "/gradio_api/info")
ENDLESS = ("/heartbeat/{session_hash}", "/gradio_api/heartbeat/{session_hash}")


def test_every_route_needs_a_key_but_a_few(locked: Listener) -> None:
    routes = [route for route in create_app(Config(), Keys()).starlette.routes if isinstance(route, Route)]
    assert len(routes) > 5
    for route in routes:
        path = route.path.replace("{id:path}", "echo").replace("{id}", "echo").replace("{model:path}", "echo")
        for method in {"GET", "POST", *(route.methods or ())}:
            if method == "POST" or path not in ENDLESS:
                expected = 200 if path in FOR_STRANGERS and method in ("GET", "HEAD") else 401
                assert status(locked.send(request(method, path))) == expected, (method, path)


@pytest.mark.parametrize(
    "path", ["/nope", "/", "//health", "/health/", "/health%2f", "/Health", "/livez?x", "/v1/../health"]
)
def test_unknown_paths_are_refused_before_they_are_looked_up(locked: Listener, path: str) -> None:
    answer = locked.send(get(path))
    if path == "/livez?x":
        assert status(answer) == 200
        return
    assert status(answer) == 401
    assert error_of(answer)["code"] == "missing_api_key"
    assert head_of(answer)["www-authenticate"] == "Bearer"
    assert head_of(answer)["connection"] == "close"


@pytest.mark.parametrize(
    "line",
    [AS_USER, AS_USER.lower().replace(USER.lower(), USER), f"x-api-key: {USER}", f"api-key: {USER}", AS_ADMIN],
)
def test_a_key_opens(locked: Listener, line: str) -> None:
    assert status(locked.send(get("/v1/models", line))) == 200


@pytest.mark.parametrize(
    ("lines", "code", "error"),
    [
        ([f"Authorization: Bearer {USER}x"], 401, "invalid_api_key"),
        (["Authorization: Bearer"], 401, "invalid_api_key"),
        (["Authorization: Bearer "], 401, "invalid_api_key"),
        ([f"Authorization: Basic {USER}"], 401, "invalid_api_key"),
        ([f"Authorization: {USER}"], 401, "invalid_api_key"),
        ([f"Authorization: Bearer {USER.upper()}"], 401, "invalid_api_key"),
        (["Authorization: Bearer " + "a" * 7000], 401, "invalid_api_key"),
        ([AS_USER, AS_USER], 400, "bad_request"),
        ([AS_USER, AS_ADMIN], 400, "bad_request"),
        ([AS_USER, f"x-api-key: {ADMIN}"], 400, "bad_request"),
        ([f"api-key: {USER}", f"api-key: {USER}"], 400, "bad_request"),
    ],
)
def test_bad_credentials(locked: Listener, lines: list[str], code: int, error: str) -> None:
    answer = locked.send(get("/v1/models", *lines))
    assert status(answer) == code
    assert error_of(answer)["code"] == error
    assert head_of(answer)["connection"] == "close"


def test_the_same_key_in_two_places_is_one_key(locked: Listener) -> None:
    assert status(locked.send(get("/v1/models", AS_USER, f"api-key: {USER}"))) == 200


def test_metrics_need_the_admin_scope(locked: Listener) -> None:
    answer = locked.send(get("/metrics", AS_USER))
    assert (status(answer), error_of(answer)["code"]) == (403, "insufficient_scope")
    assert status(locked.send(get("/metrics", AS_ADMIN))) == 200
    assert status(locked.send(get("/admin/nope", AS_USER))) == 403
    assert status(locked.send(get("/admin/nope", AS_ADMIN))) == 404


def test_a_large_body_without_a_key_is_answered_at_once(locked: Listener) -> None:
    began = time.monotonic()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n"
    assert status(locked.send(head + b"Expect: 100-continue\r\n\r\n")) == 401
    assert status(locked.send(head + b"\r\n" + b"a" * 100_000)) == 401
    assert time.monotonic() - began < 1


def test_a_client_that_sends_its_whole_body_first_still_reads_the_refusal(locked: Listener) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
    with locked.connect() as connection:
        connection.sendall(head + b"a" * 20_000_000)
        assert status(everything(connection)) == 401


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LOCALHOST:1234", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:80", 200),
        ("proxy.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost:80:80", 421),
        ("localhost@evil", 421),
        ("127.0.0.1.", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_hosts(locked: Listener, host: str, code: int) -> None:
    answer = locked.send(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status(answer) == code
    if code == 421:
        assert error_of(answer)["code"] == "host_not_allowed"


def test_origins(locked: Listener) -> None:
    for origin in ("https://evil.example", "null", "https://good.example.evil", "http://good.example"):
        answer = locked.send(request("POST", "/v1/chat/completions", f"Origin: {origin}", AS_USER, body=b"{}"))
        assert (status(answer), error_of(answer)["code"]) == (403, "origin_not_allowed")
        assert b"access-control" not in answer
        assert b"access-control" not in locked.send(get("/health", f"Origin: {origin}"))
    answer = locked.send(get("/v1/models", "Origin: https://good.example", AS_USER))
    assert status(answer) == 200
    assert head_of(answer)["access-control-allow-origin"] == "https://good.example"
    refused = locked.send(get("/v1/models", "Origin: https://good.example"))
    assert status(refused) == 401
    assert head_of(refused)["access-control-allow-origin"] == "https://good.example"


def test_preflights(locked: Listener) -> None:
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
    answer = locked.send(request("OPTIONS", "/v1/chat/completions", "Origin: https://good.example", *asked))
    assert status(answer) == 204
    assert "authorization" in head_of(answer)["access-control-allow-headers"]
    assert status(locked.send(request("OPTIONS", "/v1/chat/completions", "Origin: https://evil", *asked))) == 403
    assert status(locked.send(request("OPTIONS", "/v1/chat/completions", *asked))) == 401


@pytest.mark.parametrize(
    ("offered", "kept"),
    [("a.B_c-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("<a>", False), ("é", False)],
)
def test_request_ids(locked: Listener, offered: str, kept: bool) -> None:
    for path in ("/health", "/nope"):
        answer = locked.send(get(path, f"X-Request-Id: {offered}"))
        assert (head_of(answer)["x-request-id"] == offered) is kept
    assert head_of(locked.send(get("/health", "X-Request-Id: a", "X-Request-Id: b")))["x-request-id"] not in ("a", "b")


def test_the_log_knows_who_called_and_never_the_key(locked: Listener) -> None:
    lines = [AS_USER, "X-Request-Id: seen", "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.5"]
    answers = [
        locked.send(get(f"/v1/models?api_key={USER}&{USER}&{USER}=1", *lines)),
        locked.send(get(f"/{USER}", AS_USER)),
        locked.send(get("/v1/models", f"Authorization: Bearer {USER}x")),
        locked.send(get(f"/v1/models?key={USER}")),
        locked.send(b"GET /\x00 HTTP/1.1\r\n" + AS_USER.encode() + b"\r\n\r\n"),
    ]
    assert not any(USER.encode() in answer for answer in answers)
    wait_for(lambda: "seen" in locked.log.read_text())
    access = next(line["access"] for line in locked.lines() if line.get("access", {}).get("request_id") == "seen")
    assert (access["caller"], access["key"]) == ("alice", USER[-4:])
    assert access["path"] == "/v1/models?[redacted]"
    assert access["peer"] == "203.0.113.9"
    assert (access["method"], access["status"], access["outcome"]) == ("GET", 200, "ok")
    assert USER not in locked.log.read_text()
    assert ADMIN not in locked.log.read_text()


def test_metrics_have_routes_for_labels_never_paths(locked: Listener) -> None:
    locked.send(get("/made-up-path", AS_USER))
    locked.send(request("PURGE", "/v1/models", AS_USER))
    text = locked.send(get("/metrics", AS_ADMIN)).decode()
    assert "made-up" not in text
    assert "PURGE" not in text
    assert 'openai_proxy_http_requests_total{method="GET",route="other",status="404"}' in text


@pytest.mark.parametrize(
    ("settings", "env", "sentence"),
    [
        ('[server]\nhost = "0.0.0.0"\n', {}, "without an API key"),
        ('[server]\norigins = ["*"]\n', {"OPENAI_PROXY_KEYS": USER}, "server.origins"),
    ],
)
def test_unsafe_settings_stop_the_start(listen: Listen, settings: str, env: dict[str, str], sentence: str) -> None:
    listener = listen(settings, **env)
    assert listener.wait() == 2
    text = listener.log.read_text()
    assert sentence in text
    assert text.count("\n") == 1


def test_a_taken_port_is_one_line(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = listen(f"[server]\nport = {taken.getsockname()[1]}\n")
        assert listener.wait() == 1
    assert listener.log.read_text().count("\n") == 1


def test_any_origin_may_be_allowed_without_keys(listen: Listen) -> None:
    listener = listen('[server]\norigins = ["*"]\n')
    answer = listener.send(get("/v1/models", "Origin: https://any.example"))
    assert head_of(answer)["access-control-allow-origin"] == "*"


def test_forwarded_addresses_of_strangers_are_ignored(listen: Listen) -> None:
    listener = listen()
    listener.send(get("/health", "X-Forwarded-For: 203.0.113.9", "X-Request-Id: seen"))
    wait_for(lambda: "seen" in listener.log.read_text())
    assert "203.0.113.9" not in listener.log.read_text()


def test_localhost_is_every_address_of_it(listen: Listen) -> None:
    listener = listen('host = "localhost"\n')
    for _, _, _, _, address in set(socket.getaddrinfo("localhost", listener.port, type=socket.SOCK_STREAM)):
        with socket.create_connection((str(address[0]), listener.port), 5) as connection:
            connection.sendall(get("/health"))
            assert status(everything(connection)) == 200


def test_an_exposed_key_file_is_told(listen: Listen, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    (tmp_path / "keys").chmod(0o644)
    listener = listen(f'[auth]\nkey_file = "{tmp_path / "keys"}"\n')
    wait_for(lambda: "chmod 600" in listener.log.read_text())


def test_short_lines_when_they_are_asked_for(listen: Listen) -> None:
    listener = listen('log_format = "text"\n')
    listener.send(get("/health"))
    wait_for(lambda: "GET /health 200" in listener.log.read_text())
