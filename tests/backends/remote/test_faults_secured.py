"""What stands between us and an upstream: keys, headers, TLS both ways, and proxies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.backends.remote.asking import asked, open_descriptors
from tests.backends.remote.conftest import Http
from tests.backends.remote.http.certificates import Authority
from tests.backends.remote.relaying import Proxy
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import Serve
from tests.upstream import SeenRequest, Upstream, threaded

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def keyed() -> Iterator[Upstream]:
    with threaded(models=("theirs",), key="sk-right") as upstream:
        yield upstream


def served(http: Http, *upstreams: Mapping[str, Any]) -> str:
    """Models m0, m1 and so on, each with one of the upstreams."""
    settings = {**FORGIVING, "client": http, "probe_every": 0}
    return SERVER + "".join(model(f"m{number}", each, settings=settings) for number, each in enumerate(upstreams))


def last(upstream: Upstream) -> SeenRequest:
    return [request for request in upstream.seen().last if request.method == "POST"][-1]


def test_keys_and_headers(http: Http, keyed: Upstream, serve: Serve, tmp_path: Path) -> None:
    """From a variable or a file; a wrong one is our own fault, not the client's, and shown to nobody."""
    file = tmp_path / "key"
    file.write_text("sk-right\n")
    text = served(
        http,
        {"url": keyed.url, "key_env": "RIGHT", "headers": {"X-Team": "red"}},
        {"url": keyed.url, "key_file": str(file)},
        {"url": keyed.url, "key_env": "WRONG"},
        {"url": keyed.url},
    )
    server = serve(text, RIGHT="sk-right", WRONG="sk-wrong")
    assert asked(server, "m0").status == 200
    request = last(keyed)
    assert (request.header("authorization"), request.header("x-team")) == ("Bearer sk-right", "red")
    assert asked(server, "m1").status == 200
    assert last(keyed).header("x-team") is None
    for name in ("m2", "m3"):
        for stream in (False, True):
            answer = asked(server, name, stream=stream)
            assert (answer.status, answer.code) == (502, "upstream_unauthorized")
            assert b"sk-" not in answer.body
    assert "sk-" not in server.log.read_text()


@needs_openssl
def test_certificates(http: Http, serve: Serve, authority: Authority, tmp_path: Path) -> None:
    """Only who shows a certificate of the authority is answered, and only by a server that it vouches for."""
    context = authority.server(authority.issue("server"), ask=True)
    ours = str(authority.issue("client"))
    ca = str(authority.certificate)
    with threaded(models=("theirs",), tls=context) as upstream:
        url = upstream.url.replace("127.0.0.1", "localhost")
        text = served(
            http,
            {"url": url, "ca_file": ca, "cert_file": ours},
            {"url": url, "verify": False, "cert_file": ours},
            {"url": url, "ca_file": ca},
            {"url": url, "cert_file": ours},
        )
        server = serve(text, path="/livez")
        for stream in (False, True):
            answers = [asked(server, f"m{number}", stream=stream) for number in range(4)]
            assert [answer.status for answer in answers[:2]] == [200, 200]
            # A server that misses our certificate may close so soon that its reason is lost.
            assert answers[2].code in ("engine_unavailable", "engine_failed")
            assert (answers[3].status, answers[3].code) == (503, "engine_unavailable")
        server.stop()


@needs_openssl
@pytest.mark.parametrize("secure", [False, True], ids=["forward", "tunnel"])
def test_a_proxy_on_the_way(serve: Serve, authority: Authority, secure: bool) -> None:
    """All goes through it, streams and faults too; when it is gone, so is the upstream."""
    context = authority.server(authority.issue("server")) if secure else None
    with threaded(models=("theirs",), tls=context) as upstream, Proxy() as proxy:
        more = {"ca_file": str(authority.certificate)} if secure else {}
        text = served("aiohttp", {"url": upstream.url, "proxy": proxy.url, **more})
        server = serve(text)
        before = open_descriptors(server)
        for stream in (False, True):
            answer = asked(server, "m0", stream=stream)
            assert (answer.status, answer.clean) == (200, True)
        assert proxy.asked[-1].startswith("CONNECT 127.0.0.1:" if secure else "POST http://127.0.0.1:")
        upstream.script(fault="close-after-3")
        answer = asked(server, "m0", stream=True)
        assert (answer.code, answer.clean, len(answer.chunks)) == ("engine_failed", False, 3)
        upstream.reset()
        proxy.close()
        answer = asked(server, "m0")
        assert (answer.status, answer.code) == (503, "engine_unavailable")
        assert open_descriptors(server) <= before + 2
        server.stop()
