"""Calls: where they go, what they carry, and what they never do."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.config import Config, Timeouts, WebhookSettings
from openai_proxy.errors import UrlNotAllowed
from openai_proxy.metrics import Metrics
from openai_proxy.webhooks.calling import Caller, Message
from tests.backends.remote.http.certificates import Authority
from tests.backends.remote.http.scripted import Line, Script, Scripted
from tests.fetching.fetching import Names, drips, stalls

SECRET = "a-secret-of-enough-letters"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
HERE = {"a.example": [["127.0.0.1"]]}
LOOPBACK = ("127.0.0.0/8",)
REFUSAL = "webhook: this address cannot be called."


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_PROXY_WEBHOOK_SECRET", SECRET)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def says(answer: bytes) -> Script:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer)
        await line.left()

    return script


async def body() -> bytes:
    return b'{"id":"x"}'


MESSAGE = Message("completed", "msg_1", body)


class Calls:
    """A caller with settings of a test's own, for a port; `outcomes` is what the metrics are told."""

    def __init__(
        self, port: int, names: Mapping[str, Iterable[Sequence[str]]] = HERE, timeout: float = 5.0, **settings: Any
    ) -> None:
        given = {"domains": ("*",), "networks": LOOPBACK, "schemes": ("http",), "ports": (port,), **settings}
        config = Config(webhooks=WebhookSettings(**given), timeouts=Timeouts(webhook=timeout))
        self.names = Names(names)
        self.metrics = Metrics()
        self.caller = Caller(lambda: config, self.metrics, self.names)

    async def call(self, url: str, message: Message = MESSAGE) -> str:
        return await self.caller.call(url, message, "job j")

    @property
    def outcomes(self) -> dict[str, float]:
        lines = self.metrics.render().decode().splitlines()
        found = [line for line in lines if line.startswith("openai_proxy_webhooks_total{")]
        return {line.split('outcome="')[1].split('"')[0]: float(line.split()[-1]) for line in found}


def run(script: Script, work: Callable[[Scripted], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Scripted((script,)) as server:
            await work(server)

    asyncio.run(main())


def test_a_call_is_a_plain_post_without_credentials(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[bytes] = []

    async def script(line: Line) -> None:
        asked.append(await line.request())
        await line.send(OK)

    async def work(server: Scripted) -> None:
        calls = Calls(server.port)
        with caplog.at_level(logging.INFO, "openai_proxy.webhooks"):
            assert await calls.call(f"http://a.example:{server.port}/hook?token=hidden") == "delivered"
        assert calls.outcomes == {"delivered": 1.0}
        head, _, data = asked[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /hook?token=hidden HTTP/1.1"
        names = [line.partition(b":")[0].lower() for line in lines[1:]]
        assert names == [
            *(b"host", b"user-agent", b"content-type", b"connection", b"content-length"),
            *(b"webhook-id", b"webhook-timestamp", b"webhook-signature"),
        ]
        assert b"host: a.example:%d" % server.port in [line.lower() for line in lines]
        assert data == b'{"id":"x"}'

    run(script, work)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("webhook: completed of job j to a.example: delivered (status 200)")
    assert "hidden" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n", "refused"),
        (b"HTTP/1.1 307 Again\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n", "refused"),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "refused"),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "gone"),
        (b"HTTP/1.1 204 None\r\n\r\n", "delivered"),
        (b"nonsense\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "malformed"),
    ],
)
def test_how_a_call_ends_and_that_no_redirect_is_followed(answer: bytes, outcome: str) -> None:
    async def work(server: Scripted) -> None:
        async with Scripted((says(OK),)) as canary:
            server.scripts = (says(answer % canary.port if b"%d" in answer else answer),)
            calls = Calls(server.port, ports=(server.port, canary.port))
            assert await calls.call(f"http://a.example:{server.port}/") == outcome
            assert (server.connections, canary.connections) == (1, 0)

    run(says(OK), work)


def test_an_answer_without_end_is_not_read_and_one_that_does_not_come_is_not_waited_for() -> None:
    async def work(server: Scripted) -> None:
        began = time.monotonic()
        assert await Calls(server.port).call(f"http://a.example:{server.port}/") == "delivered"
        assert time.monotonic() - began < 4.5

    run(drips, work)

    async def wait(server: Scripted) -> None:
        assert await Calls(server.port, timeout=0.2).call(f"http://a.example:{server.port}/") == "timed_out"

    run(stalls, wait)


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "fd00::1"],
)
def test_nothing_is_called_that_is_not_public_also_when_its_name_meant_something_else_before(ip: str) -> None:
    async def work(canary: Scripted) -> None:
        calls = Calls(canary.port, {"a.example": [["8.8.8.8"], [ip]]}, networks=())
        url = f"http://a.example:{canary.port}/"
        await calls.caller.guard.accept(url, "webhook")  # it was public then
        assert await calls.call(url) == "blocked"
        host = f"[{ip}]" if ":" in ip else ip
        name = str(ipaddress.ip_address(ip))
        calls.names.table |= {ip: [[ip]], name: [[name]], "b.example": [["8.8.8.8", ip]]}
        for other in (f"http://{host}:{canary.port}/", f"http://b.example:{canary.port}/"):
            with pytest.raises(UrlNotAllowed) as caught:
                await calls.caller.guard.accept(other, "webhook")
            assert (caught.value.message, caught.value.param) == (REFUSAL, "webhook")
        assert canary.connections == 0

    run(says(OK), work)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://a.example/", "webhook: only http addresses are called here."),
        ("http://a.example/", "webhook: this port is not called here."),
        ("http://b.example:81/", "webhook: this host is not called here."),
        ("http://user@a.example:81/", "webhook: the address names a user."),
        ("http://0x7f.1:81/", "webhook: the address has a host that is a number in an unusual spelling."),
        ("http://a.example:81/ x", None),
        ("http://a.example\\@b:81/", None),
        ("file:///etc/passwd", "webhook: only http addresses are called here."),
        ("ftp://a.example:81/", "webhook: the address is not of a kind that is fetched here."),
        ("http://a.example:81/" + "x" * 9000, "webhook: an address has at most 8192 characters."),
        ("http://c.a.example:81/", REFUSAL),
    ],
)
def test_addresses_that_are_refused(url: str, reason: str | None) -> None:
    calls = Calls(81, domains=("a.example", "c.a.example"))
    with pytest.raises(UrlNotAllowed) as caught:
        asyncio.run(calls.caller.guard.accept(url, "webhook"))
    assert reason in (None, caught.value.message)
    assert caught.value.param == "webhook"


def test_they_are_off_without_a_secret_and_without_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def off(calls: Calls) -> None:
        with pytest.raises(UrlNotAllowed) as caught:
            await calls.caller.guard.accept("http://a.example:81/", "webhook")
        assert caught.value.message == "Webhooks are not enabled on this server."
        assert calls.names.asked == []

    asyncio.run(off(Calls(81, domains=())))
    monkeypatch.delenv("OPENAI_PROXY_WEBHOOK_SECRET")
    asyncio.run(off(Calls(81)))
    assert asyncio.run(Calls(81).call("http://a.example:81/")) == "blocked"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_by_tls_only_who_can_show_that_name_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    papers = authority.issue("a", "DNS:a.example")

    async def check() -> None:
        async with Scripted((says(OK),), ssl=authority.server(papers)) as server:
            trusted: dict[str, Any] = {"schemes": ("https",), "ca_file": str(authority.certificate)}
            names = {"a.example": [["127.0.0.1"]], "b.example": [["127.0.0.1"]]}
            url = f"https://a.example:{server.port}/"
            assert await Calls(server.port, names, **trusted).call(url) == "delivered"
            assert await Calls(server.port, names, **trusted).call(url.replace("a.e", "b.e")) == "unreachable"
            assert await Calls(server.port, names, schemes=("https",)).call(url) == "unreachable"

    asyncio.run(check())


def test_a_host_that_is_slow_holds_up_nobody_else() -> None:
    async def work(slow: Scripted) -> None:
        async with Scripted((says(OK),)) as quick:
            names = {"slow.example": [["127.0.0.1"]], "quick.example": [["127.0.0.1"]]}
            calls = Calls(slow.port, names, ports=(slow.port, quick.port), per_host=2, at_once=3)
            waiting = [asyncio.create_task(calls.call(f"http://slow.example:{slow.port}/")) for _ in range(6)]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(4):
                for _ in range(5):
                    assert await calls.call(f"http://quick.example:{quick.port}/") == "delivered"
            assert slow.connections == 2
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert calls.outcomes == {"delivered": 5.0, "canceled": 6.0}

    run(stalls, work)
