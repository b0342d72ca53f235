"""Answers whose reader knows that only the end is missing: the connection serves on if that comes soon."""

from __future__ import annotations

import asyncio

import pytest

from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, Line, Scripted

EVENT = CHUNKED + b"5\r\nhello\r\n"
END = b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("more", "connections"),
    [(END, 1), (b"0;x=y\r\nt: u\r\n\r\n", 1), (b"1\r\nx\r\n" + END, 2), (b"nonsense\r\n", 2), (b"", 2)],
    ids=["end", "trailers", "more", "nonsense", "silence"],
)
def test_the_end_comes_later(via: Via, more: bytes, connections: int) -> None:
    """Only what is an end lets the connection serve the next request; without one it is closed after a moment."""
    if via.client == "aiohttp" and more.endswith(END):
        connections = 1  # it gives a connection back by itself as soon as the end was read
    gone = asyncio.Event()

    async def first(line: Line) -> None:
        await line.request()
        await line.send(EVENT)
        await asyncio.sleep(0.05)
        if more:
            await line.send(more)
        if connections == 2:
            await line.left()
            gone.set()
            return
        await line.request()
        await line.send(HELLO)
        await line.left()

    async def second(line: Line) -> None:
        await line.request()
        await line.send(HELLO)
        await line.left()

    async def test() -> None:
        async with Scripted((first, second)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            assert await answer.read() == b"hello"
            answer.finish()
            answer.close()
            answer.finish()
            if connections == 2:
                async with asyncio.timeout(0.5):
                    await gone.wait()
            else:
                await asyncio.sleep(0.1)
            assert await ask(connector) == (200, b"hello")
            assert server.connections == connections
            await connector.close()

    via.run(test())


def test_the_end_is_there_already(via: Via) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(EVENT + END)
        await line.request()
        await line.send(HELLO)
        await line.left()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            assert await answer.read() == b"hello"
            answer.finish()
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 1
            await connector.close()

    via.run(test())
