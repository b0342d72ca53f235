"""Where an upstream is, and what happens when nobody is there."""

from __future__ import annotations

import socket

import pytest

from backends.remote.http import Peer, connector
from backends.remote.http.errors import HttpError, NotConnected
from tests.backends.remote.http.conftest import Via, ask
from tests.backends.remote.http.scripted import HELLO, Scripted, answers


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize("origin", ["http://127.0.0.1", "https://127.0.0.1", "http://does-not-exist.invalid"])
def test_nobody_there(via: Via, origin: str) -> None:
    async def test() -> None:
        connector = via.connect(free_port(), origin)
        with pytest.raises(NotConnected):
            await ask(connector)
        await connector.close()

    via.run(test())


def test_connect_timeout(via: Via) -> None:
    """A listener whose queue is full answers nothing."""

    async def test() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            held = [socket.socket() for _ in range(4)]
            for each in held:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            connector = via.connect(port, connect_timeout=0.2)
            with pytest.raises(NotConnected):
                await ask(connector)
            await connector.close()
            for each in held:
                each.close()

    via.run(test())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(via: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),), host="::1") as server:
            connector = via.connect(server.port, "http://[::1]")
            assert await ask(connector) == (200, b"hello")
            await connector.close()

    via.run(test())


BAD_ORIGINS = [
    "",
    "127.0.0.1:80",
    "ftp://host",
    "http://",
    "http://host/v1",
    "http://user@host",
    "http://host?x",
    "http://host#x",
    "http://ho st",
    "http://hö",
    "http://host:0",
    "http://host:65536",
    "http://host\r\nx: y",
]


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_bad_origin(origin: str) -> None:
    with pytest.raises(ValueError, match=r"origin|[Pp]ort|URL"):
        Peer(origin)


def test_origins() -> None:
    assert (Peer("https://host").port, Peer("http://host/").port, Peer("http://[::1]:81").host) == (443, 80, "::1")


def test_only_aiohttp_has_proxies() -> None:
    with pytest.raises(ValueError, match="proxy"):
        connector(Peer("http://host", proxy="http://proxy"))


def test_errors_are_one_tree() -> None:
    assert {kind.__name__ for kind in HttpError.__subclasses__()} == {
        "AnswerTooLarge",
        "Broken",
        "Malformed",
        "NotConnected",
        "Stale",
    }
