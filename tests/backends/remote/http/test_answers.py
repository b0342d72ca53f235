"""What answers may look like, and whether their connection is used again."""

from __future__ import annotations

import asyncio

import pytest

from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Scripted, answers

EXTENDED = b'5;a=1;b="two"\r\nhello\r\n1;x\r\n!\r\n0;end\r\nx-trailer: 1\r\n\r\n'

# Name: what the server says, the method, status and body, and whether the next request takes the same connection.
GOOD = {
    "length": (HELLO, b"POST", 200, b"hello", True),
    "no body": (OK + b"content-length: 0\r\n\r\n", b"POST", 200, b"", True),
    "chunks": (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"POST", 200, b"hello!", True),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b"POST", 200, b"", True),
    "chunk extensions and trailers": (CHUNKED + EXTENDED, b"POST", 200, b"hello!", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"POST", 200, b"ok", True),
    "error": (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", b"POST", 503, b"busy", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"POST", 204, b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\netag: 1\r\n\r\n", b"GET", 304, b"", True),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + HELLO,
        b"POST",
        200,
        b"hello",
        True,
    ),
    "connection: close": (
        OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"POST",
        200,
        b"hello",
        False,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"POST", 200, b"hello", False),
    "no redirect": (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", b"GET", 302, b"", True),
    "no decoding": (OK + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nraw", b"GET", 200, b"raw", True),
}


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_good(via: Via, case: tuple[bytes, bytes, int, bytes, bool]) -> None:
    data, method, status, body, again = case

    async def test() -> None:
        async with Scripted((answers(data),)) as server:
            connector = via.connect(server.port)
            assert await ask(connector, method) == (status, body)
            assert await ask(connector, method) == (status, body)
            assert server.connections == (1 if again else 2)
            await connector.close()

    via.run(test())


def test_body_until_the_end_of_the_connection(via: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(OK + b"\r\nhello", close=True),)) as server:
            connector = via.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            assert await ask(connector) == (200, b"hello")
            assert server.connections == 2
            await connector.close()

    via.run(test())


def test_head_has_no_body(via: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(OK + b"content-length: 5\r\n\r\n"),)) as server:
            connector = via.connect(server.port)
            assert await ask(connector, b"HEAD") == (200, b"")
            assert await ask(connector, b"HEAD") == (200, b"")
            await connector.close()

    via.run(test())


def test_headers(via: Via) -> None:
    head = OK + b"X-One: 1\r\nCONTENT-Type:  text/plain \r\nx-two: a\r\nX-Two: b\r\ncontent-length: 0\r\n\r\n"

    async def test() -> None:
        async with Scripted((answers(head),)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            answer.close()
            assert answer.headers[b"x-one"] == b"1"
            assert answer.headers[b"content-type"] == b"text/plain"
            assert answer.headers[b"x-two"] == b"a, b"
            await connector.close()

    via.run(test())


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [(b"POST", b"{}", b"2"), (b"POST", b"", b"0"), (b"GET", b"", None), (b"POST", b"x" * 300_000, b"300000")],
)
def test_what_is_sent(via: Via, method: bytes, body: bytes, length: bytes | None) -> None:
    """Our lines as they are, a host and a length, and nothing that nobody asked for."""
    sent = []

    async def script(line: Line) -> None:
        sent.append(await line.request())
        await line.send(HELLO)

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            answer = await connector.send(method, b"/v1/a%2Fb?c=d%20e", b"authorization: Bearer k\r\nx-a: b\r\n", body)
            assert await answer.whole(100) == b"hello"
            answer.close()
            await connector.close()
            head, _, rest = sent[0].partition(b"\r\n\r\n")
            first, *lines = head.lower().split(b"\r\n")
            assert first == method.lower() + b" /v1/a%2fb?c=d%20e http/1.1"
            expected = {b"host: 127.0.0.1:%d" % server.port, b"authorization: bearer k", b"x-a: b"}
            assert set(lines) == expected | ({b"content-length: " + length} if length else set())
            assert rest == body

    via.run(test())


def test_reads_join_what_came_together(own: Via) -> None:
    """Ten chunks in one write are one piece, and there is no waiting for what is there."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"".join(b"2\r\n%d!\r\n" % n for n in range(10)))
        await line.request()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = own.connect(server.port)
            answer = await post(connector)
            reading = answer.read()
            with pytest.raises(StopIteration) as done:
                reading.send(None)
            assert done.value.value == b"".join(b"%d!" % n for n in range(10))
            answer.close()
            await connector.close()

    own.run(test())


def test_pieces_come_when_they_are_sent(via: Via) -> None:
    """A stream is not held back: the server sends the next piece when the one before was read."""
    read = asyncio.Semaphore(0)

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED)
        for n in range(20):
            await line.send(b"8\r\nevent %02d\r\n" % n)
            await read.acquire()
        await line.send(b"0\r\n\r\n")

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port)
            answer = await post(connector)
            for n in range(20):
                assert await answer.read() == b"event %02d" % n
                read.release()
            assert await answer.read() == b""
            assert await answer.read() == b""
            answer.close()
            await connector.close()

    via.run(test())
