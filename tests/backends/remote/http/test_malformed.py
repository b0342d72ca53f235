"""What is not an answer: garbage, ambiguous lengths, heads and extensions without end, early ends."""

from __future__ import annotations

import asyncio

import pytest

from backends.remote.http.errors import Broken, HttpError, Malformed
from backends.remote.http.heads import check
from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Script, Scripted, answers


def head(*lines: bytes) -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


# What both clients refuse in a head.
REFUSED = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n",
    "not HTTP at all": b"\x00\x01\x02\x03" * 10,
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "short status": b"HTTP/1.1 20 OK\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI *",
    "length and chunks": head(b"content-length: 5", b"transfer-encoding: chunked") + b"0\r\n\r\n",
    "chunks and length": head(b"transfer-encoding: chunked", b"content-length: 5") + b"0\r\n\r\n",
    "two lengths": head(b"content-length: 5", b"content-length: 6") + b"hello!",
    "negative length": head(b"content-length: -5"),
    "signed length": head(b"content-length: +5") + b"hello",
    "length in words": head(b"content-length: five") + b"hello",
    "lengths in a list": head(b"content-length: 5, 5") + b"hello",
    "endless length": head(b"content-length: 99999999999999999999999") + b"hello",
    "chunked, gzip": head(b"transfer-encoding: chunked, gzip") + b"0\r\n\r\n",
    "identity": head(b"transfer-encoding: identity") + b"hello",
    "chunks of HTTP/1.0": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no colon": head(b"junk", b"content-length: 0"),
    "long line": head(b"x: " + b"a" * 40_000, b"content-length: 0"),
}

# What aiohttp's client refuses only when its connection is already kept.
CHECKED = {
    "status 000": b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n",
    "gzip, chunked": head(b"transfer-encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked twice": head(b"transfer-encoding: chunked", b"transfer-encoding: chunked") + b"0\r\n\r\n",
    "many lines": head(*[b"x-%d: %s" % (n, b"a" * 90) for n in range(400)], b"content-length: 0"),
}

# What only our own client refuses.
REFUSED_BY_OWN = {
    "blank before the colon": head(b"content-length : 5") + b"hello",
    "bare line feeds": OK.replace(b"\r", b"") + b"content-length: 5\n\nhello",
    "folded": head(b"x: a", b" b", b"content-length: 0"),
    "control character": head(b"x: a\x01b", b"content-length: 0"),
    "RTSP": b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "blank lines first": b"\r\n\r\n" + HELLO,
    "interim with a body": b"HTTP/1.1 150 Odd\r\ncontent-length: 1\r\n\r\nx" + HELLO,
    "endless interim": b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" * 2000 + HELLO,
}

# Bodies that both refuse after what was good of them.
BAD_CHUNKS = {
    "size in words": b"five\r\nhello\r\n",
    "negative size": b"-5\r\nhello\r\n",
    "0x5": b"0x5\r\nhello\r\n",
    "endless size": b"fffffffffffffffffffff\r\n",
    "longer than its size": b"2\r\nhello\r\n",
}


async def refused(via: Via, script: Script, kind: type[HttpError]) -> bytes:
    """Ask once; what was read before an error of `kind`. The connection must be closed, and not used again."""
    async with Scripted((script, answers(HELLO))) as server:
        connector = via.connect(server.port)
        data = b""
        with pytest.raises(HttpError) as error:  # noqa: PT012
            answer = await post(connector)
            try:
                while piece := await answer.read():
                    data += piece
            finally:
                answer.close()
        assert type(error.value) is kind
        await asyncio.wait_for(server.ended.acquire(), 5)
        assert await ask(connector) == (200, b"hello")
        await connector.close()
    return data


def says(data: bytes, close: bool = False) -> Script:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(data)
        if not close:
            await line.left()

    return script


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_refused(via: Via, data: bytes) -> None:
    assert via.run(refused(via, says(data), Malformed)) == b""


@pytest.mark.parametrize("data", CHECKED.values(), ids=CHECKED.keys())
def test_checked(via: Via, data: bytes) -> None:
    async def test() -> None:
        async with Scripted((answers(data),)) as server:
            connector = via.connect(server.port)
            with pytest.raises(Malformed):
                await post(connector)
            await connector.close()

    via.run(test())


@pytest.mark.parametrize("data", {**CHECKED, **REFUSED_BY_OWN}.values(), ids={**CHECKED, **REFUSED_BY_OWN}.keys())
def test_refused_by_our_own(own: Via, data: bytes) -> None:
    assert own.run(refused(own, says(data), Malformed)) == b""


@pytest.mark.parametrize("data", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks(via: Via, data: bytes) -> None:
    """What came before a bad chunk is read, then the error is raised."""
    read = via.run(refused(via, says(CHUNKED + b"6\r\nbefore\r\n" + data), Malformed))
    assert b"beforehello".startswith(read)


def test_who_speaks_first(own: Via) -> None:
    """A greeting is no answer, whether it comes before the request was sent or after."""

    async def script(line: Line) -> None:
        await line.send(b"220 mail.example ESMTP\r\n")
        await line.left()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = own.connect(server.port)
            with pytest.raises((Broken, Malformed)):
                await post(connector)
            await connector.close()

    own.run(test())


def test_both_lengths_whoever_let_them_pass() -> None:
    with pytest.raises(Malformed):
        check(200, "1.1", {b"transfer-encoding": b"chunked", b"content-length": b"5"})


def test_bad_chunk_later(own: Via) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"6\r\nbefore\r\n")
        await asyncio.sleep(0.02)
        await line.send(b"zz\r\n")
        await line.left()

    assert own.run(refused(own, script, Malformed)) == b"before"


def test_largest_head(own: Via) -> None:
    """Exact, however the head comes: 32 kB are taken, one byte more is not."""
    fill = 32_768 - len(head(b"x: ", b"content-length: 5"))
    right, long = (head(b"x: " + b"a" * (fill + more), b"content-length: 5") + b"hello" for more in (0, 1))
    assert len(right) == 32_768 + 5

    async def test() -> None:
        async with Scripted((answers(right),)) as server:
            connector = own.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            await connector.close()
        await refused(own, says(long), Malformed)

    own.run(test())


def test_endless_head(via: Via) -> None:
    """Lines without end: the client leaves, and does not keep them."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK)
        while True:
            await line.send(b"x-line: " + b"a" * 1000 + b"\r\n")

    via.run(refused(via, script, Malformed))


@pytest.mark.parametrize("endless", [b"5;" + b"a" * 1_000_000, b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 200_000])
def test_endless_extensions_and_trailers(own: Via, endless: bytes) -> None:
    own.run(refused(own, says(CHUNKED + b"6\r\nbefore\r\n" + endless), Malformed))


def test_long_extension(own: Via) -> None:
    async def test() -> None:
        async with Scripted((answers(CHUNKED + b"5;" + b"a" * 1000 + b"\r\nhello\r\n0\r\n\r\n"),)) as server:
            connector = own.connect(server.port)
            assert await ask(connector) == (200, b"hello")
            await connector.close()

    own.run(test())


# Where an upstream may stop, and what was read until then.
EARLY = {
    "at once": (b"", b""),
    "in the status line": (b"HTTP/1.1 2", b""),
    "in the head": (OK + b"content-", b""),
    "after the head": (OK + b"content-length: 5\r\n\r\n", b""),
    "in the body": (OK + b"content-length: 5\r\n\r\nhel", b"hel"),
    "before a chunk": (CHUNKED, b""),
    "in a size": (CHUNKED + b"5", b""),
    "in a chunk": (CHUNKED + b"5\r\nhel", b"hel"),
    "after a chunk": (CHUNKED + b"5\r\nhello\r\n", b"hello"),
    "in the last chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"hello"),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
}


@pytest.mark.parametrize("case", EARLY.values(), ids=EARLY.keys())
def test_early_close(via: Via, case: tuple[bytes, bytes]) -> None:
    data, read = case
    assert via.run(refused(via, says(data, close=True), Broken)) == read


@pytest.mark.parametrize("case", EARLY.values(), ids=EARLY.keys())
def test_reset(via: Via, case: tuple[bytes, bytes]) -> None:
    """A reset may overtake what was sent before it."""
    data, read = case

    async def script(line: Line) -> None:
        await line.request()
        await line.send(data)
        await asyncio.sleep(0.02)
        line.reset()

    assert read.startswith(via.run(refused(via, script, Broken)))


def test_reset_of_a_body_without_a_length(own: Via) -> None:
    """A clean end ends such a body, a reset does not."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK + b"\r\nhello")
        await asyncio.sleep(0.02)
        line.reset()

    assert own.run(refused(own, script, Broken)) == b"hello"
