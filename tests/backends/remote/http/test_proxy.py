"""HTTP proxies, which aiohttp's client takes."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
from pathlib import Path

import pytest

from backends.remote.http import Connector, Peer, connector
from backends.remote.http.errors import NotConnected
from tests.backends.remote.http.certificates import Authority
from tests.backends.remote.http.conftest import BOTH, ask
from tests.backends.remote.http.scripted import HELLO, Line, Scripted, answers

VIA = BOTH["aiohttp"]
CREDENTIALS = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:pass word")


def through(port: int, origin: str, context: ssl.SSLContext | None = None) -> Connector:
    return connector(Peer(origin, proxy=f"http://me:pass%20word@127.0.0.1:{port}", tls=context), "aiohttp")


def test_plain() -> None:
    """The proxy is asked for the whole URL, with its credentials, and its name is not looked up by us."""
    asked = []

    async def script(line: Line) -> None:
        asked.append(await line.request())
        await line.send(HELLO)

    async def test() -> None:
        async with Scripted((script,)) as proxy:
            upstream = through(proxy.port, "http://engine.invalid:8000")
            assert await ask(upstream) == (200, b"hello")
            await upstream.close()

    VIA.run(test())
    assert asked[0].startswith(b"POST http://engine.invalid:8000/ HTTP/1.1\r\n")
    assert CREDENTIALS in asked[0].split(b"\r\n")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_tunnel(tmp_path: Path) -> None:
    """https goes through a tunnel; the credentials stay with the proxy."""
    authority = Authority(tmp_path, "ours")
    context = authority.server(authority.issue("server"))
    asked, got = [], []

    async def upstream(line: Line) -> None:
        got.append(await line.request())
        await line.send(HELLO)

    async def test() -> None:
        async with Scripted((upstream,), ssl=context) as server:

            async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while data := await reader.read(65_536):
                    writer.write(data)
                writer.close()

            async def script(line: Line) -> None:
                asked.append(await line.request())
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                await line.send(b"HTTP/1.1 200 Connected\r\n\r\n")
                await asyncio.gather(pipe(line.reader, writer), pipe(reader, line.writer))

            async with Scripted((script,)) as proxy:
                client = through(proxy.port, f"https://localhost:{server.port}", authority.client())
                assert await ask(client) == (200, b"hello")
                await client.close()

    VIA.run(test())
    assert asked[0].startswith(b"CONNECT localhost:")
    assert CREDENTIALS in asked[0].split(b"\r\n")
    assert b"Proxy-Authorization" not in got[0]


def test_refused_tunnel() -> None:
    async def test() -> None:
        refusal = b"HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n"
        async with Scripted((answers(refusal),)) as proxy:
            client = through(proxy.port, "https://engine.invalid")
            with pytest.raises(NotConnected):
                await ask(client)
            await client.close()

    VIA.run(test())


def test_no_proxy_there() -> None:
    async def test() -> None:
        client = connector(Peer("http://engine.invalid", proxy="http://127.0.0.1:9"), "aiohttp")
        with pytest.raises(NotConnected):
            await ask(client)
        await client.close()

    VIA.run(test())
