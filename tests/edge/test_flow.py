"""Answers that are bytes of a sound: nothing may come between them, and an error ends the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from openai_proxy import pulse
from openai_proxy.config import Timeouts
from openai_proxy.errors import Draining
from openai_proxy.wire import Flow, Incoming
from tests.edge.test_wire import Client, Server, live


class Tune:
    """Bytes of a sound, some time apart; `closed` once it is."""

    def __init__(self, *pieces: bytes | Exception, delay: float = 0.0) -> None:
        self.pieces = pieces
        self.delay = delay
        self.closed = 0

    async def play(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.delay)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed += 1

    async def __call__(self, _: Incoming) -> Flow:
        return Flow(self.play(), ((b"content-type", b"audio/mpeg"),))


def test_bytes_flow_as_they_are_with_nothing_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.02)

    async def work() -> None:
        server, client, tune = Server(Timeouts(ping=0.02)), Client(), Tune(b"\n\n", b"", b"\xff", delay=0.1)
        await server.take(client, tune)
        assert (client.status, client.headers) == (200, {b"content-type": b"audio/mpeg"})
        assert (client.said, client.ended, tune.closed) == (b"\n\n\xff", True, 1)
        await server.settled()

    live(work)


def test_a_flow_that_fails_has_a_status_before_its_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.02)

    async def work() -> None:
        server, client = Server(), Client()
        await server.take(client, Tune(b"", Draining(), delay=0.1))
        assert (client.status, client.error["code"]) == (503, "draining")
        assert client.headers[b"content-type"] == b"application/json"
        await server.settled()

    live(work)


def test_a_flow_that_fails_later_is_cut() -> None:
    async def work() -> None:
        server, client, tune = Server(), Client(), Tune(b"sound", Draining())
        await server.take(client, tune)
        assert (client.said, client.ended, client.aborted, tune.closed) == (b"sound", False, True, 1)
        await server.settled()

    live(work)


def test_who_leaves_a_flow_stops_it() -> None:
    async def work() -> None:
        server, client, tune = Server(), Client(), Tune(b"sound", b"sound", delay=60)
        task = server.take(client, tune)
        await asyncio.sleep(0.1)
        client.leave()
        await task
        assert (client.status, tune.closed, server.canceled) == (0, 1, ["client_gone"])
        await server.settled()

    live(work)
