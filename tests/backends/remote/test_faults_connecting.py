"""Upstreams that cannot be connected to: nothing was sent, so another one is asked, or the client told to come back."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.remote.asking import asked, happens, metrics, upstream_row
from tests.backends.remote.conftest import Http, Pair, own_client
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, certificate, threaded

BAD = ["refused", "nameless", "untrusted", "plain", "silent"]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, good: Upstream) -> Iterator[dict[str, str]]:
    """Where nobody can be reached: a closed port, no such name, TLS that nobody vouches for, none at all, and a port
    that takes connections and never shakes hands."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path_factory.mktemp("tls")))
    with (
        threaded(tls=context) as untrusted,
        threaded(refuse=True) as refused,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        yield {
            "refused": refused.url,
            "nameless": "http://nobody.invalid:8000",
            "untrusted": untrusted.url,
            "plain": good.url.replace("http://", "https://"),
            "silent": f"https://127.0.0.1:{silent.getsockname()[1]}",
        }


@pytest.fixture(scope="module")
def server(
    http: Http, good: Upstream, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    settings = {**FORGIVING, "client": http, "connect_timeout": 0.5, "probe_every": 0}
    text = SERVER
    for name, url in urls.items():
        bad = {"url": url, "name": "bad"}
        text += model(name, bad, {"url": good.url, "name": "good"}, settings=settings)
        text += model(f"{name}-alone", bad, settings=settings)
    with servers(tmp_path_factory.mktemp("connecting")) as start:
        yield start(text)


@pytest.fixture(autouse=True)
def forgotten(good: Upstream) -> None:
    good.reset()


def refusals(server: Running, name: str) -> float:
    return metrics(server)[upstream_row("requests_total", name, "bad", "refused")]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_another_one_is_asked(server: Running, good: Upstream, name: str, stream: bool) -> None:
    before = refusals(server, name)
    for _ in range(2):
        answer = asked(server, name, stream=stream)
        assert (answer.status, answer.clean) == (200, True)
    assert Pair.arrived(good) == 2
    assert refusals(server, name) == before + 2


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("stream", [False, True])
def test_without_another_the_client_shall_come_again(server: Running, name: str, stream: bool) -> None:
    answer = asked(server, f"{name}-alone", stream=stream)
    assert (answer.status, answer.code) == (503, "engine_unavailable")
    assert "retry-after" in answer.head
    assert "x-should-retry" not in answer.head
    assert "bad" not in answer.body.decode()
    assert "127.0.0.1" not in answer.body.decode()
    if name == "refused":
        assert answer.took < 0.1


@own_client
def test_an_upstream_that_refuses_is_down_until_it_is_back(http: Http, good: Upstream, tmp_path: Path) -> None:
    """Probes find out, and say so; while it is down nobody tries, so that the refusal costs nothing."""
    settings = {**FORGIVING, "client": http}
    with threaded(models=("theirs",)) as other, servers(tmp_path) as start:
        upstreams = ({"url": other.url, "name": "bad"}, {"url": good.url, "name": "good"})
        server = start(SERVER + model("m", *upstreams, settings=settings))
        other.script(down=1)
        up = upstream_row("up", "m", "bad")
        assert asked(server, "m").status == 200
        happens(lambda: metrics(server)[up] == 0, 1)
        before = refusals(server, "m")
        for _ in range(4):
            assert asked(server, "m").status == 200
        assert refusals(server, "m") == before <= 1
        happens(lambda: metrics(server)[up] == 1, 1 + 2)
        other.reset()
        for _ in range(4):
            assert asked(server, "m").status == 200
        assert Pair.arrived(other) == 2
