"""The yardsticks of `relay`: a Starlette route that hands a request on by a client and does nothing else.

Run as a program: `bare_relay.py UPSTREAM SECONDS [aiohttp]`, where idle connections are kept for SECONDS. The client is
our own, or aiohttp's as its documentation shows it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

sys.path.insert(0, str(Path(__file__).parents[2]))

from backends.remote.http import Answer, Connector, Peer, connector

HEADERS = b"content-type: application/json\r\n"
LARGEST = 256_000_000


class Relay(Response):
    """A stream of the upstream's: one send for each read."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.answer
        headers = [(b"content-type", answer.headers[b"content-type"])]
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            while data := await answer.read():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            answer.close()


def application(upstream: str, idle: float) -> Starlette:
    """Every path of POST, to the same path there."""
    made: list[Connector] = []

    async def relay(request: Request) -> Response:
        if not made:
            made.append(connector(Peer(upstream, idle_timeout=idle, max_idle=1024)))
        answer = await made[0].send(b"POST", request.url.path.encode(), HEADERS, await request.body())
        if b"content-length" not in answer.headers:
            return Relay(answer)
        try:
            body = await answer.whole(LARGEST)
        finally:
            answer.close()
        return Response(body, answer.status, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", relay, methods=["POST"])])


class LibraryRelay(Response):
    """The same of aiohttp's answer."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", self.answer.headers["content-type"].encode())]
        try:
            await send({"type": "http.response.start", "status": self.answer.status, "headers": headers})
            async for data in self.answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.answer.close()


def by_library(upstream: str, idle: float) -> Starlette:
    """`application` with aiohttp."""
    made: list[aiohttp.ClientSession] = []

    async def relay(request: Request) -> Response:
        if not made:
            pool = aiohttp.TCPConnector(limit=0, keepalive_timeout=idle)
            made.append(aiohttp.ClientSession(connector=pool, auto_decompress=False))
        headers = {"content-type": "application/json"}
        answer = await made[0].post(upstream + request.url.path, data=await request.body(), headers=headers)
        if "content-length" not in answer.headers:
            return LibraryRelay(answer)
        async with answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    return Starlette(routes=[Route("/{path:path}", relay, methods=["POST"])])


def main() -> None:
    build = by_library if "aiohttp" in sys.argv[3:] else application
    app = build(sys.argv[1], float(sys.argv[2]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", ws="none", log_config=None, access_log=False, server_header=False
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
