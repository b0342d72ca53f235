"""Servers that ask themselves, alone or in a circle."""

from __future__ import annotations

import socket
from typing import Any

import httpx2

from backends import via
from tests.conftest import Serve

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
CONFIG = """
[server]
grace = 0.0
[models.echo]
backend = "echo"
[models.around]
backend = "remote"
upstreams = [{{ url = "http://127.0.0.1:{port}" }}]
options = {{ probe_every = 0 }}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_server_that_asks_itself_does_so_once(serve: Serve) -> None:
    port = free_port()
    server = serve(CONFIG.format(port=port), "--port", str(port), path="/livez")
    answer = httpx2.post(f"{server.base_url}/chat/completions", json={"model": "around", **CHAT}, timeout=30)
    assert answer.status_code == 508
    metrics = httpx2.get(f"{server.url}/metrics").text
    [line] = [each for each in metrics.splitlines() if "http_requests_total" in each and 'status="508"' in each]
    assert line.endswith(" 2.0")  # its own, and the one from outside that it was for


def test_two_servers_that_ask_one_another_do_so_once(serve: Serve) -> None:
    port = free_port()
    first = serve(CONFIG.format(port=port), path="/livez")
    second = serve(CONFIG.format(port=first.port), "--port", str(port), path="/livez")
    answer = httpx2.post(f"{first.base_url}/chat/completions", json={"model": "around", **CHAT}, timeout=30)
    assert answer.status_code == 508
    for server in (first, second):
        metrics = httpx2.get(f"{server.url}/metrics").text
        counts = [
            float(each.split()[-1])
            for each in metrics.splitlines()
            if each.startswith("openai_proxy_http_requests_total") and "/v1/chat/completions" in each
        ]
        assert sum(counts) <= 2


def test_a_server_that_is_its_own_upstream_is_down(serve: Serve) -> None:
    port = free_port()
    config = CONFIG.format(port=port).replace("probe_every = 0", 'models = "*", prefix = "p/"')
    server = serve(config, "--port", str(port), path="/livez")
    names = [each["id"] for each in httpx2.get(f"{server.base_url}/models").json()["data"]]
    assert not [name for name in names if name.startswith("p/")]


def test_other_servers_in_between_are_of_no_interest(serve: Serve) -> None:
    server = serve()
    headers = {"via": "1.1 cache.example (squid), 1.1 openai-proxy-0123456789ab"}
    body = {"model": "echo", **CHAT}
    assert httpx2.post(f"{server.base_url}/chat/completions", json=body, headers=headers).status_code == 200
    many = {"via": ", ".join(f"1.1 openai-proxy-{number:012x}" for number in range(10))}
    answer = httpx2.post(f"{server.base_url}/chat/completions", json=body, headers=many)
    assert answer.status_code == 508
    assert answer.json()["error"]["code"] == "loop_detected"


def test_the_line_of_a_head_names_all() -> None:
    assert via.via_line() == f"via: 1.1 {via.NAME}\r\n".encode()
    token = via.passed.set(("openai-proxy-0123456789ab",))
    try:
        assert via.via_line() == f"via: 1.1 openai-proxy-0123456789ab, 1.1 {via.NAME}\r\n".encode()
    finally:
        via.passed.reset(token)
