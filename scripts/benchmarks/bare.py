"""The yardstick: a Starlette route that streams prepared bytes, under the settings of our own server.

Run as a program: `bare.py FILE`, where FILE holds JSON: {"events": [...], "plain": "..."}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def application(events: list[bytes], plain: bytes) -> Starlette:
    """`POST /stream/N/D`: the events in order, the first at once, then N more and the end, D seconds apart."""

    async def paced(chunks: int, delay: float) -> AsyncIterator[bytes]:
        yield events[0]
        for event in events[1 : chunks + 1]:
            yield event
            await asyncio.sleep(delay)
        yield events[-1]

    async def stream(request: Request) -> Response:
        await request.body()
        chunks = paced(request.path_params["chunks"], request.path_params["delay"])
        return StreamingResponse(chunks, media_type="text/event-stream")

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(plain, media_type="application/json")

    return Starlette(
        routes=[
            Route("/stream/{chunks:int}/{delay:float}", stream, methods=["POST"]),
            Route("/plain", answer, methods=["POST"]),
        ]
    )


def main() -> None:
    prepared = json.loads(Path(sys.argv[1]).read_text())
    app = application([event.encode() for event in prepared["events"]], prepared["plain"].encode())
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", ws="none", log_config=None, access_log=False, server_header=False
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
