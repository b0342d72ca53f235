"""Keys that change while the server runs, and what operators read of an upstream that cannot be reached."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import Serve
from tests.edge.raw import wait_for
from tests.running import Running
from tests.upstream import threaded, upstream

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
CONFIG = """
[server]
grace = 0.0
[models.m]
backend = "remote"
upstreams = [{{ url = "{url}"{more} }}]
"""


def chat(server: Running) -> int:
    return httpx2.post(f"{server.base_url}/chat/completions", json=CHAT, timeout=30).status_code


def test_a_reload_takes_a_key_that_changed(serve: Serve, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-first\n")
    with threaded(models=("m",)) as fake:
        server = serve(CONFIG.format(url=fake.url, more=f', key_file = "{key}"'))
        assert chat(server) == 200
        key.write_text("sk-second\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "configuration taken" in server.output())
        assert chat(server) == 200
        sent = [each.header("authorization") for each in fake.seen().last if each.path == "/v1/chat/completions"]
        assert sent == ["Bearer sk-first", "Bearer sk-second"]
        assert "sk-second" not in server.output()
        key.unlink()
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "cannot be read" in server.output())
        assert chat(server) == 200


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9", "refused"),
        ("http://no-such-host.invalid", "not known"),
        ("https://{plain}", "TLS"),
    ],
)
def test_operators_are_told_why_an_upstream_cannot_be_reached(serve: Serve, url: str, why: str) -> None:
    with threaded(models=("m",)) as fake:
        address = url.format(plain=fake.url.removeprefix("http://"))
        server = serve(CONFIG.format(url=address, more=""), path="/livez")
        wait_for(lambda: why in httpx2.get(f"{server.url}/admin/models/m/upstreams").text, 10)
        answer = httpx2.post(f"{server.base_url}/chat/completions", json=CHAT, timeout=30)
        assert answer.status_code == 503
        assert why not in answer.text


def test_operators_are_told_once_that_a_key_is_refused(serve: Serve) -> None:
    with upstream("--model", "m", "--key", "UPSTREAM_WANTS", UPSTREAM_WANTS="sk-right-one") as fake:
        server = serve(CONFIG.format(url=fake.url, more=', key_env = "MINE"'), path="/livez", MINE="sk-wrong-one")
        assert {chat(server) for _ in range(3)} == {502}
        said = (
            "model m: upstream 127.0.0.1:"
            + fake.url.rpartition(":")[2]
            + " does not accept this server's key (status 401)"
        )
        wait_for(lambda: said in server.output())
        assert server.output().count(said) == 1
        assert "sk-wrong-one" not in server.output()
