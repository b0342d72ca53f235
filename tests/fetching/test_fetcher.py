"""What is fetched and what is not, over real connections to scripted servers."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
from typing import Any

import pytest

from openai_proxy.config import Limits, Media, Timeouts
from openai_proxy.errors import QueueFull, QueueTimeout, UrlNotAllowed
from tests.backends.remote.http.scripted import Line, Script, Scripted
from tests.fetching.fetching import (
    HEAD,
    HERE,
    OPEN,
    PNG,
    REFUSAL,
    Names,
    Told,
    drips,
    fetched,
    fetcher,
    got,
    not_fetched,
    opened,
    run,
    says,
    stalls,
    whole,
)


def test_nothing_of_ours_is_sent() -> None:
    """The name, not the address, in Host; no key, cookie or proxy."""

    async def work(server: Scripted) -> tuple[bytes, list[bytes], int]:
        data = await got(fetcher(opened(server), Names(HERE)), f"http://A.example:{server.port}/x?y=1#z")
        return data, server.requests, server.port

    asked: list[bytes] = []

    async def script(line: Line) -> None:
        asked.append(await line.request())
        await line.send(HEAD + b"content-length: %d\r\n\r\n" % len(PNG) + PNG)

    data, _, port = run(script, work)
    assert data == PNG
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /x?y=1 HTTP/1.1"
    assert {*lines[1:]} == {
        f"Host: a.example:{port}",
        "User-Agent: openai-proxy",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
    }


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetched(whole(PNG)) == PNG


@pytest.mark.parametrize(
    "script",
    [
        whole(PNG),
        whole(PNG, b"content-type: text/html"),
        whole(PNG, b"content-encoding: identity"),
        says(HEAD + b"\r\n", PNG[:5], PNG[5:]),
        says(HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"%x\r\n" % len(PNG) + PNG + b"\r\n0\r\n\r\n"),
        says(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: %d\r\n\r\n" % len(PNG) + PNG + b"more"),
    ],
)
def test_pictures_whatever_the_head_says(script: Script) -> None:
    told = Told()
    assert fetched(script, told=told) == PNG
    assert (told.outcomes, told.sizes) == (["ok"], [len(PNG)])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (whole(b"<html>" + PNG, b"content-type: image/png"), "other_content"),
        (whole(b"", b"content-type: image/png"), "other_content"),
        (whole(gzip.compress(PNG), b"content-encoding: gzip"), "malformed"),
        (whole(gzip.compress(PNG)), "other_content"),
        (says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 8\r\n\r\n" + PNG[:8]), "refused"),
        (says(b"HTTP/1.1 206 Partial\r\ncontent-length: 8\r\n\r\n" + PNG[:8]), "refused"),
        (says(b"HTTP/1.1 401 No\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"), "refused"),
        (says(HEAD + b"content-length: 9999\r\n\r\n" + PNG), "malformed"),
        (says(HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n" + PNG), "malformed"),
        (says(HEAD + b"content-length: x\r\n\r\n" + PNG), "malformed"),
        (says(HEAD + b"content-encoding: identity\r\ncontent-encoding: br\r\n\r\n" + PNG), "malformed"),
        (says(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), "malformed"),
        (says(HEAD + b"x: " + b"y" * 200_000), "malformed"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000), "malformed"),
        (says(HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "malformed"),
        (says(HEAD + b"content-length: " + b"9" * 5000 + b"\r\n\r\n"), "malformed"),
        (says(b"SSH-2.0-OpenSSH\r\n"), "malformed"),
        (says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), "malformed"),
        (says(), "malformed"),
    ],
)
def test_answers_that_are_no_pictures(script: Script, reason: str) -> None:
    not_fetched(script, reason=reason)


def test_a_picture_in_very_small_pieces() -> None:
    """Each costs work: a few are taken, thousands are not."""
    small = b"".join(b"1\r\n%c\r\n" % byte for byte in PNG[:100])
    rest = b"%x\r\n" % len(PNG[100:]) + PNG[100:] + b"\r\n0\r\n\r\n"
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert fetched(says(chunked + small + rest)) == PNG
    not_fetched(says(chunked + small + b"1\r\nx\r\n" * 5000), reason="malformed")


def test_marks_between_pieces_without_end() -> None:
    """As chunks may have extensions: they are no part of the picture, and bounded with it."""

    def chunks(count: int) -> Script:
        one = b"%x;%s\r\n%s\r\n" % (600, b"x" * 30_000, b"\0" * 600)
        head = HEAD + b"transfer-encoding: chunked\r\n\r\n"
        return says(head + b"%x\r\n%s\r\n" % (len(PNG), PNG) + one * count + b"0\r\n\r\n")

    limits = Limits(fetched_bytes=20_000)
    assert fetched(chunks(2), limits=limits) == PNG + b"\0" * 1200
    not_fetched(chunks(20), limits=limits, reason="malformed")


def test_the_largest_picture() -> None:
    body = PNG.ljust(5000, b"\0")
    limits = Limits(fetched_bytes=5000)
    for script in (whole(body), says(HEAD + b"\r\n", body)):
        assert fetched(script, limits=limits) == body
    for script in (whole(body + b"\0"), says(HEAD + b"\r\n", body, b"\0")):
        not_fetched(script, limits=limits, reason="too_large")


@pytest.mark.parametrize("script", [stalls, drips, says(HEAD + b"content-length: 10\r\n\r\n")])
def test_the_whole_time(script: Script) -> None:
    reason = "malformed" if script not in (stalls, drips) else "timed_out"
    not_fetched(script, timeouts=Timeouts(fetch=0.3, fetch_connect=0.2), reason=reason)


def test_connecting_has_its_time() -> None:
    """A server that never takes the connection, and a resolver that never answers."""

    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def main(look_up: Any, port: int) -> None:
        await got(
            fetcher(Media(**{**OPEN, "ports": (port,)}), look_up, told, timeouts=timeouts), f"http://a.example:{port}/"
        )

    told, timeouts = Told(), Timeouts(fetch=20.0, fetch_connect=0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        for look_up in (Names(HERE), never):
            with pytest.raises(UrlNotAllowed, match="nothing could be fetched"):
                asyncio.run(main(look_up, full.getsockname()[1]))
        for each in waiting:
            each.close()
    assert told.outcomes == ["timed_out", "timed_out"]


def test_nobody_can_tell_why(caplog: pytest.LogCaptureFixture) -> None:
    """Blocked, refused, unknown and silent: one status, one text. The log knows, and has the host alone."""
    caplog.set_level(logging.INFO, "openai_proxy.fetching")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]

    async def work(server: Scripted) -> list[tuple[type, str, str | None]]:
        media = Media(**{**OPEN, "ports": (server.port, closed, 80)})
        names = Names({"in.example": [["10.0.0.1"]], "mixed.example": [["127.0.0.1", "10.0.0.1"]], **HERE})
        fetch = fetcher(media, names, timeouts=Timeouts(fetch=0.3, fetch_connect=0.2))
        seen = []
        for url in (
            f"http://a.example:{closed}/secret",
            f"http://a.example:{server.port}/secret",
            *("http://in.example/secret", "http://mixed.example/secret", "http://none.example/secret"),
            *("http://10.0.0.1/secret", "http://[::1]/secret"),
        ):
            with pytest.raises(UrlNotAllowed) as caught:
                await got(fetch, url)
            seen.append((type(caught.value), caught.value.message, caught.value.param))
        return seen

    assert set(run(stalls, work)) == {(UrlNotAllowed, REFUSAL, "here")}
    assert len(caplog.messages) == 7
    assert "in.example" in caplog.text
    assert "10.0.0.1 is not public" in caplog.text
    assert "secret" not in caplog.text


def test_who_may_fetch_at_once() -> None:
    """Two run, one waits, the fourth is sent away; one that has waited too long too, and leaving makes room."""

    async def work(server: Scripted) -> list[str]:
        told = Told()
        media = opened(server, at_once=2, queue=1)
        fetch = fetcher(media, Names(HERE), told, timeouts=Timeouts(queue=0.3, fetch=20.0))
        url = f"http://a.example:{server.port}/"
        running = [asyncio.create_task(got(fetch, url)) for _ in range(2)]
        while server.connections < 2:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(got(fetch, url))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="Too many"):
            await got(fetch, url)
        with pytest.raises(QueueTimeout, match="waited too long"):
            await waiting
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        again = [asyncio.create_task(got(fetch, url)) for _ in range(2)]
        while server.connections < 4:
            await asyncio.sleep(0.01)
        for task in again:
            task.cancel()
        await asyncio.wait(again)
        for _ in range(4):
            await asyncio.wait_for(server.ended.acquire(), 2)  # their connections are closed
        return told.outcomes

    assert run(stalls, work) == ["canceled"] * 4


def test_nobody_waits_for_all_that_somebody_else_has_fetched() -> None:
    """One's last wait makes way for another's first, which has the next turn."""

    async def work(server: Scripted) -> None:
        media = opened(server, at_once=1, queue=2)
        fetch = fetcher(media, Names(HERE), timeouts=Timeouts(queue=20.0, fetch=20.0))
        url = f"http://a.example:{server.port}/"
        hanging = [asyncio.create_task(got(fetch, url)) for _ in range(3)]
        while not server.connections:
            await asyncio.sleep(0.01)
        others = asyncio.create_task(got(fetch, url, "bob"))
        with pytest.raises(QueueFull, match="Too many addresses"):
            await hanging.pop()
        with pytest.raises(QueueFull):
            await got(fetch, url)
        hanging[0].cancel()
        assert await others == PNG
        hanging[1].cancel()
        await asyncio.wait(hanging)

    run(stalls, work, whole(PNG), stalls)


def test_leaving_during_the_handshake() -> None:
    """A server that takes the connection and never answers the TLS hello."""

    async def work(server: Scripted) -> None:
        fetch = fetcher(opened(server), Names(HERE))
        task = asyncio.create_task(got(fetch, f"https://a.example:{server.port}/"))
        while not server.connections:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(server.ended.acquire(), 2)

    run(lambda line: line.left(), work)
