"""Leaving early: the upstream notices at once, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from backends.remote.http.answer import OwnAnswer
from backends.remote.http.errors import AnswerTooLarge, Broken
from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Scripted, answers


async def silent(line: Line) -> None:
    await line.request()
    await line.left()


async def endless(line: Line) -> None:
    await line.request()
    await line.send(CHUNKED)
    while True:
        await line.send(b"5\r\nhello\r\n")
        await asyncio.sleep(0.01)


def test_cancelled_send(via: Via) -> None:
    """Who no longer waits for the head closes the connection at once."""

    async def test() -> None:
        async with Scripted((silent,)) as server:
            connector = via.connect(server.port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(post(connector), 0.1)
            await asyncio.wait_for(server.ended.acquire(), 0.2)
            await connector.close()

    via.run(test())


@pytest.mark.parametrize("script", [endless, answers(OK + b"content-length: 9\r\n\r\nhello")])
def test_closed_before_its_end(via: Via, script: Any) -> None:
    """An answer that is not read on closes its connection at once; reading it again says so."""

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            assert await answer.read()
            answer.close()
            answer.close()
            await asyncio.wait_for(server.ended.acquire(), 0.2)
            await connector.close()

    via.run(test())


def test_unread_body_is_not_used_again(own: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = own.connect(server.port)
            answer = await post(connector)
            answer.close()
            await asyncio.wait_for(server.ended.acquire(), 5)
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 2
            await connector.close()

    own.run(test())


def test_cancelled_read(via: Via) -> None:
    """A read that was cancelled loses nothing, and the answer goes on."""
    more = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK + b"content-length: 5\r\n\r\n")
        await more.wait()
        await line.send(b"hello")
        await line.left()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.read(), 0.05)
            more.set()
            assert await answer.whole(10) == b"hello"
            answer.close()
            await connector.close()

    via.run(test())


def test_read_that_waits_while_it_is_closed(own: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(CHUNKED),)) as server:
            connector = own.connect(server.port)
            answer = await post(connector)
            reading = asyncio.ensure_future(answer.read())
            await asyncio.sleep(0)
            answer.close()
            with pytest.raises(Broken):
                await reading
            await connector.close()

    own.run(test())


@pytest.mark.parametrize("data", [HELLO, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
def test_whole_has_a_limit(via: Via, data: bytes) -> None:
    async def test() -> None:
        async with Scripted((answers(data),)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            assert await answer.whole(5) == b"hello"
            answer.close()
            answer = await post(connector)
            with pytest.raises(AnswerTooLarge):
                await answer.whole(4)
            answer.close()
            await connector.close()

    via.run(test())


def test_announced_length_is_refused_unread(own: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(OK + b"content-length: 1000000000\r\n\r\n"),)) as server:
            connector = own.connect(server.port)
            answer = await post(connector)
            with pytest.raises(AnswerTooLarge):
                await answer.whole(1_000_000)
            answer.close()
            await asyncio.wait_for(server.ended.acquire(), 5)
            await connector.close()

    own.run(test())


def test_nothing_is_left_behind(own: Via) -> None:
    """Answers of every end leave no tasks, and go without the help of the garbage collector."""

    async def test() -> None:
        async with Scripted((answers(HELLO),)) as server:
            connector = own.connect(server.port)
            tasks = len(asyncio.all_tasks())
            for n in range(200):
                answer = await post(connector)
                if n % 10:
                    await answer.whole(10)
                answer.close()
            assert len(asyncio.all_tasks()) <= tasks + 21  # the server's
            assert sum(isinstance(each, OwnAnswer) for each in gc.get_objects()) <= 1
            await connector.close()

    gc.collect()
    gc.disable()
    try:
        own.run(test())
    finally:
        gc.enable()
