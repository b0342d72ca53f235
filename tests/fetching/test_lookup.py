"""The system's resolver: what it finds, what it does not, and that one that hangs holds up nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.lookup import MOST, Resolver


def test_this_machine() -> None:
    assert "127.0.0.1" in asyncio.run(Resolver()("localhost", 80))
    assert asyncio.run(Resolver()("127.0.0.1", 80)) == ["127.0.0.1"]


def test_a_name_that_is_none() -> None:
    with pytest.raises(NotFetched) as caught:
        asyncio.run(Resolver()("a" * 64, 80))
    assert caught.value.reason == "no_such_name"


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for its threads; there is an end of them, and then there are new ones."""
    go = threading.Event()

    def stuck(host: bytes, port: int, **_: Any) -> list[Any]:
        go.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def main() -> list[str]:
        resolver = Resolver()
        tasks = [asyncio.create_task(resolver("a.example", 80)) for _ in range(MOST)]
        await asyncio.sleep(0)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks[1:])
        with pytest.raises(NotFetched, match="too many"):
            await resolver("a.example", 80)
        go.set()
        assert await tasks[0] == ["127.0.0.1"]
        while resolver.running:
            await asyncio.sleep(0.01)
        return await resolver("a.example", 80)

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    assert asyncio.run(main()) == ["127.0.0.1"]
