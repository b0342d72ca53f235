"""TLS to upstreams: whom we trust, who we say we are, and the same life of connections as without it."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.remote.http.errors import Broken, HttpError, NotConnected, Stale
from tests.backends.remote.http.certificates import Authority
from tests.backends.remote.http.conftest import Via, ask, post
from tests.backends.remote.http.scripted import CHUNKED, HELLO, OK, Line, Scripted, answers

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
HTTPS = "https://localhost"


@dataclass
class Papers:
    ours: Authority
    theirs: Authority
    server: Path
    client: Path
    foreign: Path


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    return Papers(ours, theirs, ours.issue("server"), ours.issue("client"), theirs.issue("foreign"))


def test_good(via: Via, papers: Papers) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client())
            for _ in range(3):
                assert await ask(connector) == (200, b"hello")
            assert server.connections == 1
            await connector.close()

    via.run(test())


def test_unknown_authority(via: Via, papers: Papers) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.theirs.client())
            with pytest.raises(NotConnected):
                await post(connector)
            await connector.close()

    via.run(test())


def test_the_systems_authorities_are_the_default(via: Via, papers: Papers) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS)
            with pytest.raises(NotConnected):
                await post(connector)
            await connector.close()

    via.run(test())


@pytest.mark.parametrize(("name", "good"), [("localhost", True), ("elsewhere", False)])
def test_server_hostname(via: Via, papers: Papers, name: str, good: bool) -> None:
    async def test() -> None:
        async with Scripted((answers(HELLO),), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, "https://127.0.0.1", tls=papers.ours.client(), server_hostname=name)
            if good:
                assert await ask(connector) == (200, b"hello")
            else:
                with pytest.raises(NotConnected):
                    await post(connector)
            await connector.close()

    via.run(test())


@pytest.mark.parametrize("newest", [True, False], ids=["1.3", "1.2"])
@pytest.mark.parametrize("shown", ["client", "foreign", None])
def test_client_certificate(via: Via, papers: Papers, shown: str | None, newest: bool) -> None:
    """A server that wants one takes ours, and refuses another's and none before it has the request.

    In TLS 1.3 it refuses after our side is done, and this one's reset may overtake what it says.
    """
    certificate = {"client": papers.client, "foreign": papers.foreign, None: None}[shown]

    async def test() -> None:
        wanting = papers.ours.server(papers.server, ask=True, newest=newest)
        async with Scripted((answers(HELLO),), ssl=wanting) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client(certificate))
            if shown == "client":
                assert await ask(connector) == (200, b"hello")
            else:
                with pytest.raises((NotConnected, Broken) if newest else NotConnected):
                    await post(connector)
                assert server.connections == 0
            await connector.close()

    via.run(test())


def test_refusal_after_the_handshake(via: Via, papers: Papers) -> None:
    """What a server of TLS 1.3 says to a client without a certificate is read as a refused handshake."""
    context = papers.ours.server(papers.server, ask=True)

    async def script(line: Line) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await line.send(outgoing.read())
                incoming.write(await line.reader.read(65_536))
            except ssl.SSLError:
                await line.send(outgoing.read())
                return await line.left()

    async def test() -> None:
        async with Scripted((script,)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client())
            with pytest.raises(NotConnected):
                await post(connector)
            await connector.close()

    via.run(test())


@pytest.mark.parametrize("secure", [True, False])
def test_the_other_scheme(via: Via, papers: Papers, secure: bool) -> None:
    """TLS to a server without it, and the reverse."""
    context = papers.ours.server(papers.server) if secure else None

    async def test() -> None:
        async with Scripted((answers(HELLO),), ssl=context) as server:
            connector = via.connect(server.port, "http://localhost" if secure else HTTPS, connect_timeout=0.5)
            with pytest.raises((HttpError, TimeoutError)):
                await asyncio.wait_for(post(connector), 2)
            await connector.close()

    via.run(test())


def test_stream_and_cancel(via: Via, papers: Papers) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.left()

    async def test() -> None:
        async with Scripted((script,), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client())
            answer = await post(connector)
            assert await answer.read() == b"hello"
            answer.close()
            await asyncio.wait_for(server.ended.acquire(), 0.2)
            await connector.close()

    via.run(test())


def test_large_both_ways(via: Via, papers: Papers) -> None:
    """8 MB there and back, with a reader that comes late."""
    body = bytes(8 << 20)

    async def script(line: Line) -> None:
        while True:
            got = await line.request()
            await line.send(OK + b"content-length: %d\r\n\r\n" % len(body))
            await line.send(got.partition(b"\r\n\r\n")[2])

    async def test() -> None:
        async with Scripted((script,), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client())
            for _ in range(2):
                answer = await post(connector, body)
                await asyncio.sleep(0.05)
                assert await answer.whole(len(body)) == body
                answer.close()
            assert server.connections == 1
            await connector.close()

    via.run(test())


def test_stale(via: Via, papers: Papers) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(HELLO)
        await line.request()

    async def test() -> None:
        async with Scripted((script,), ssl=papers.ours.server(papers.server)) as server:
            connector = via.connect(server.port, HTTPS, tls=papers.ours.client())
            assert await ask(connector) == (200, b"hello")
            with pytest.raises(Stale):
                await post(connector)
            await connector.close()

    via.run(test())
