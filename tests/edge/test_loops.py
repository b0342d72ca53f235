"""Servers that ask themselves, alone or in a circle."""

from __future__ import annotations

import socket
from typing import Any

import httpx2

from backends import via
from tests.conftest import Serve
from tests.edge.raw import wait_for
from tests.running import Running
from tests.upstream import threaded

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


FINDING = """
[server]
grace = 0.0
[models.box]
backend = "remote"
upstreams = [{upstreams}]
options = {{ models = "*", probe_every = 0.2, retries = 0 }}
"""


def finding(*urls: str) -> str:
    return FINDING.format(upstreams=", ".join(f'{{ url = "{url}" }}' for url in urls))


def names(server: Running) -> set[str]:
    return {each["id"] for each in httpx2.get(f"{server.base_url}/models").json()["data"]}


def test_names_that_servers_have_of_one_another_vanish(serve: Serve) -> None:
    """Three in a circle, the first of which has an upstream: each shows what that has, and nothing once it is gone."""
    port = free_port()
    with threaded(models=("*",)) as fake:
        fake.script(listed=[{"id": "one"}, {"id": "two"}])
        first = serve(finding(f"http://127.0.0.1:{port}", fake.url), path="/livez")
        second = serve(finding(first.url), path="/livez")
        third = serve(finding(second.url), "--port", str(port), path="/livez")
        servers = (first, second, third)
        wait_for(lambda: all(names(each) == {"one", "two"} for each in servers))
        answer = httpx2.post(f"{third.base_url}/chat/completions", json={"model": "one", **CHAT}, timeout=30)
        assert answer.status_code == 200
        fake.script(listed=[{"id": "two"}])
        wait_for(lambda: all(names(each) == {"two"} for each in servers))
        fake.script(listed=[])
        wait_for(lambda: all(names(each) == set() for each in servers))


def test_only_servers_of_our_kind_are_told_through_whom_a_name_is_known(serve: Serve) -> None:
    with threaded(models=("*",)) as fake:
        fake.script(listed=[{"id": "one", "via": ["openai-proxy-0123456789ab", 5]}, {"id": "two", "via": "x"}])
        server = serve(finding(fake.url))
        [own, *_] = httpx2.get(f"{server.base_url}/models").json()["data"]
        assert "via" not in own
        headers = {"via": "1.1 openai-proxy-ba9876543210"}
        told = httpx2.get(f"{server.base_url}/models", headers=headers).json()["data"]
    paths = {each["id"]: each["via"] for each in told}
    assert [len(paths["one"]), len(paths["two"])] == [2, 1]
    assert paths["one"][1] == "openai-proxy-0123456789ab"
    assert paths["one"][0] == paths["two"][0]
