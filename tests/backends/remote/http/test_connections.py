"""Keeping connections, and dropping those that are no good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends.remote.http import Answer
from backends.remote.http.errors import Broken, NotConnected, Stale
from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Scripted, answers


@pytest.mark.parametrize("number", [1, 5])
def test_last_in_first_out(own: Via, number: int) -> None:
    """Some at once make as many connections; after them one is enough, and at most max_idle are kept."""

    async def test() -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = own.connect(server.port, max_idle=3)
            some = [await post(connector) for _ in range(number)]
            for answer in some:
                assert await answer.whole(10) == b"hello"
                answer.close()
            assert server.connections == number
            for _ in range(max(0, number - 3)):
                await asyncio.wait_for(server.ended.acquire(), 5)
            for _ in range(3):
                assert await ask(connector) == (200, b"hello")
            assert server.connections == number
            assert server.ended.locked()
            await connector.close()

    own.run(test())


def test_idle_timeout(via: Via) -> None:
    """A connection that nobody used goes by itself, and is not used later."""

    async def test() -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = via.connect(server.port, idle_timeout=0.2)
            assert await ask(connector) == (200, b"hello")
            await asyncio.wait_for(server.ended.acquire(), 5)
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 2
            await connector.close()

    via.run(test())


def test_each_idle_connection_has_its_own_time(own: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = own.connect(server.port, idle_timeout=0.4)
            first, second = await post(connector), await post(connector)
            assert await first.whole(10) == await second.whole(10) == b"hello"
            first.close()
            await asyncio.sleep(0.2)
            second.close()
            await asyncio.wait_for(server.ended.acquire(), 5)
            await asyncio.wait_for(server.ended.acquire(), 5)
            await connector.close()

    own.run(test())


def test_no_keeping_at_all(own: Via) -> None:
    """Without time or without room, each request has its own connection."""

    async def test(**options: Any) -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = own.connect(server.port, **options)
            for _ in range(3):
                assert await ask(connector) == (200, b"hello")
            assert server.connections == 3
            await connector.close()

    own.run(test(idle_timeout=0.0))
    own.run(test(max_idle=0))


def test_closed_while_idle(via: Via) -> None:
    """A connection that the other side closed is not tried."""

    async def test() -> None:
        async with Scripted((answers(HELLO, close=True),)) as server:
            connector = via.connect(server.port)
            for _ in range(3):
                assert await ask(connector) == (200, b"hello")
                await server.ended.acquire()
                await asyncio.sleep(0.02)
            assert server.connections == 3
            await connector.close()

    via.run(test())


def test_data_while_idle(own: Via) -> None:
    """What nobody asked for ends a kept connection at once."""
    asked = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(HELLO)
        await asked.wait()
        await line.send(HELLO)
        await line.left()

    async def test() -> None:
        async with Scripted((script, answers(OK + b"content-length: 2\r\n\r\nok"))) as server:
            connector = own.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            asked.set()
            await asyncio.wait_for(server.ended.acquire(), 5)
            assert await ask(connector) == (200, b"ok")
            await connector.close()

    own.run(test())


async def quiet(line: Line) -> None:
    """Answer once, take a second request and close without a word."""
    await line.request()
    await line.send(HELLO)
    await line.request()


def test_stale(via: Via) -> None:
    async def test() -> None:
        async with Scripted((quiet, answers(HELLO))) as server:
            connector = via.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            with pytest.raises(Stale):
                await post(connector)
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 2
            await connector.close()

    via.run(test())


def test_stale_by_reset(via: Via) -> None:
    async def script(line: Line) -> None:
        await quiet(line)
        line.reset()

    async def test() -> None:
        async with Scripted((script, answers(HELLO))) as server:
            connector = via.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            with pytest.raises(Stale):
                await post(connector)
            await connector.close()

    via.run(test())


def test_after_one_stale_connection_comes_a_new_one(own: Via) -> None:
    """The other kept connections are as old as the one that failed."""

    async def test() -> None:
        async with Scripted((quiet, quiet, quiet, answers(HELLO))) as server:
            connector = own.connect(server.port)
            some = [await post(connector) for _ in range(3)]
            for answer in some:
                assert await answer.whole(10) == b"hello"
                answer.close()
            with pytest.raises(Stale):
                await post(connector)
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 4
            await connector.close()

    own.run(test())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_not_stale(via: Via, said: bytes) -> None:
    """Late, or with a part of an answer, it may have worked on the request."""

    async def script(line: Line) -> None:
        await quiet(line)
        await line.send(said)
        await asyncio.sleep(0 if said else 0.7)

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            with pytest.raises(Broken):
                await post(connector)
            await connector.close()

    via.run(test())


def test_new_connections_are_never_stale(via: Via) -> None:
    async def script(line: Line) -> None:
        await line.request()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            with pytest.raises(Broken):
                await post(connector)
            await connector.close()

    via.run(test())


def test_close(via: Via) -> None:
    """Idle connections go at once, one with an answer when that ends; nothing new is begun."""
    more = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await more.wait()
        await line.send(b"1\r\n!\r\n0\r\n\r\n")
        await line.left()

    async def test() -> None:
        async with Scripted((script, answers(HELLO))) as server:
            connector = via.connect(server.port)
            running: Answer = await post(connector)
            assert await ask(connector) == (200, b"hello")
            await connector.close()
            if via.client == "own":
                await asyncio.wait_for(server.ended.acquire(), 5)
            with pytest.raises(NotConnected):
                await post(connector)
            more.set()
            assert await running.whole(10) == b"hello!"
            running.close()
            await asyncio.wait_for(server.ended.acquire(), 5)
            await connector.close()

    via.run(test())
