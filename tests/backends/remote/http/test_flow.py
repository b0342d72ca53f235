"""Large bodies both ways: bounded buffers, nothing copied in vain, answers that come early."""

from __future__ import annotations

import asyncio

import pytest

from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Script, Scripted

MB = 1 << 20
LARGE = 50 * MB
# What a loopback connection may hold in the two kernels' buffers, beside ours.
ON_THE_WAY = 16 * MB


def sending(sent: list[int], chunked: bool) -> Script:
    """50 MB in pieces of 64 kB; `sent` counts what the kernel took."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED if chunked else OK + b"content-length: %d\r\n\r\n" % LARGE)
        piece = bytes(65_536)
        for _ in range(LARGE // len(piece)):
            await line.send(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
            sent.append(len(piece))
        if chunked:
            await line.send(b"0\r\n\r\n")
        await line.left()

    return script


async def steady(sent: list[int]) -> int:
    """Wait until no more is sent; how much was."""
    before = -1
    while len(sent) > before:
        before = len(sent)
        await asyncio.sleep(0.1)
    return sum(sent)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_slow_reader(via: Via, chunked: bool) -> None:
    """What nobody reads stays with the upstream: before the first read, and after it."""
    sent: list[int] = []

    async def test() -> None:
        async with Scripted((sending(sent, chunked),)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            waiting = await steady(sent)
            assert waiting < ON_THE_WAY
            length = len(await answer.read())
            assert length < MB
            assert await steady(sent) < waiting + 4 * MB
            while piece := await answer.read():
                assert len(piece) < MB
                length += len(piece)
            assert length == LARGE
            answer.close()
            await connector.close()

    via.run(test())


def test_paused_connections_are_used_again(own: Via) -> None:
    """An answer that came whole while nobody read leaves its connection listening."""
    body = bytes(3 * MB)

    async def script(line: Line) -> None:
        while True:
            await line.request()
            await line.send(OK + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = own.connect(server.port)
            for _ in range(5):
                answer = await post(connector)
                await asyncio.sleep(0.02)
                assert len(await answer.whole(len(body))) == len(body)
                answer.close()
            assert server.connections == 1
            await connector.close()

    own.run(test())


@pytest.mark.parametrize("size", [65_536, 65_537, 8 * MB])
def test_large_request(via: Via, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    got = []

    async def script(line: Line) -> None:
        while True:
            got.append(await line.request())
            await line.send(HELLO)

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            for _ in range(2):
                answer = await post(connector, body)
                assert await answer.whole(10) == b"hello"
                answer.close()
            assert server.connections == 1
            await connector.close()

    via.run(test())
    assert [each.partition(b"\r\n\r\n")[2] == body for each in got] == [True, True]


@pytest.mark.parametrize("close", [False, True])
def test_early_answer(via: Via, close: bool) -> None:
    """A 413 before the body was all taken is read, and its connection is not used again."""
    answered = asyncio.Event()

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await line.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        if close:
            line.writer.write_eof()
        await answered.wait()

    async def hello(line: Line) -> None:
        await line.request()
        await line.send(HELLO)

    async def test() -> None:
        async with Scripted((script, hello)) as server:
            connector = via.connect(server.port)
            answer = await post(connector, bytes(32 * MB))
            assert (answer.status, await answer.whole(10)) == (413, b"large")
            answer.close()
            answered.set()
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 2
            await connector.close()

    via.run(test())


def test_many_at_once(via: Via) -> None:
    """Streams on many connections do not mix."""

    async def script(line: Line) -> None:
        while True:
            target = (await line.request()).split()[1]
            await line.send(CHUNKED)
            for n in range(10):
                mark = b"%s-%d;" % (target, n)
                await line.send(b"%x\r\n%s\r\n" % (len(mark), mark))
                await asyncio.sleep(0)
            await line.send(b"0\r\n\r\n")

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)

            async def one(target: bytes) -> None:
                for _ in range(3):
                    answer = await post(connector, target=target)
                    assert await answer.whole(1000) == b"".join(b"%s-%d;" % (target, n) for n in range(10))
                    answer.close()

            await asyncio.gather(*(one(b"/%d" % n) for n in range(100)))
            assert server.connections <= 100
            await connector.close()

    via.run(test())
