"""Both clients, and our own one on both loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import uvloop

from backends.remote.http import Answer, Connector, Peer, connector

T = TypeVar("T")


@dataclass
class Via:
    """A client and a loop to run it in."""

    client: str
    loop: Callable[[], asyncio.AbstractEventLoop]

    def connect(self, port: int, origin: str = "http://127.0.0.1", **options: Any) -> Connector:
        return connector(Peer(f"{origin}:{port}", **options), self.client)

    def run(self, test: Coroutine[Any, Any, T]) -> T:
        """The result of `test`. Whatever the loop would only log is an error."""
        logged: list[dict[str, Any]] = []

        async def watched() -> T:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: logged.append(context))
            return await asyncio.wait_for(test, 60)

        with asyncio.Runner(loop_factory=self.loop) as runner:
            result = runner.run(watched())
        assert logged == []
        return result


OWN = {
    "own-asyncio": Via("own", asyncio.new_event_loop),
    "own-uvloop": Via("own", uvloop.new_event_loop),
}
BOTH = {**OWN, "aiohttp": Via("aiohttp", uvloop.new_event_loop)}


@pytest.fixture(params=list(BOTH.values()), ids=list(BOTH))
def via(request: pytest.FixtureRequest) -> Via:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=list(OWN.values()), ids=list(OWN))
def own(request: pytest.FixtureRequest) -> Via:
    return request.param  # type: ignore[no-any-return]


async def post(connector: Connector, body: bytes = b"{}", target: bytes = b"/v1/chat") -> Answer:
    return await connector.send(b"POST", target, b"content-type: application/json\r\n", body)


async def ask(connector: Connector, method: bytes = b"POST") -> tuple[int, bytes]:
    """Status and body of one request."""
    answer = await connector.send(method, b"/", b"", b"")
    try:
        return answer.status, await answer.whole(1 << 30)
    finally:
        answer.close()
