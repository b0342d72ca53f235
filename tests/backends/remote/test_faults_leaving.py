"""Clients that leave: their upstream connections are closed within 0.2 s, whatever they waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.backends.remote.asking import SAID, Line, happens, metrics, open_descriptors, post
from tests.backends.remote.conftest import Http
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, upstream

LATEST = 0.2
CLIENTS = 200


class Case(NamedTuple):
    """`mark`: what a client waits for before it leaves; without one it leaves once the upstream has its request."""

    script: dict[str, Any]
    stream: bool
    mark: bytes = b""


CASES = {
    "stream": Case({"chunks": 10_000, "delay": 0.05}, stream=True, mark=b"0000001 "),
    "stream-before-the-first-byte": Case({"first": 60}, stream=True),
    "stream-after-the-head": Case({"pause": 60}, stream=True),
    "plain": Case({"first": 60}, stream=False),
    "plain-in-the-body": Case({"fault": "stall-after-20"}, stream=False),
}


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    """A process of its own: nothing that the clients do keeps it from noticing that one has left."""
    with upstream("--model", "theirs") as running:
        yield running


@pytest.fixture(scope="module")
def server(http: Http, fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The model `many` takes all, `few` two at a time."""
    settings = {**FORGIVING, "client": http}
    text = SERVER + model("many", {"url": fake.url}, settings=settings)
    text += model("few", {"url": fake.url}, settings=settings, slots=2)
    with servers(tmp_path_factory.mktemp("leaving")) as start:
        yield start(text)


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()


class Crowd:
    """Clients of one model who wait for something, until they leave all at once."""

    def __init__(self, server: Running, model: str, case: Case) -> None:
        self.server = server
        self.request = post({"model": model, "messages": SAID, "stream": case.stream})
        self.mark = case.mark
        self.lines: list[Line] = []

    async def come(self, size: int) -> None:
        await asyncio.gather(*(self._one() for _ in range(size)))

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(self.request)
        self.lines.append(Line(reader, writer))
        if self.mark:
            await self.lines[-1].until(self.mark)

    def leave(self) -> float:
        """The moment of the first one's leaving."""
        return min(each.leave() for each in self.lines)


async def running(upstream: Upstream, count: int) -> None:
    """Wait until so many requests are there."""
    while upstream.seen(0).running < count:
        await asyncio.sleep(0.01)


def last_end(upstream: Upstream, count: int) -> float:
    """Wait until so many clients have left there; when the last one was noticed."""
    seen = upstream.wait_for(lambda seen: len(seen.aborted) >= count, 5)
    assert seen.running == seen.waiting == 0
    return max(abort.at for abort in seen.aborted)


def gauge(server: Running, name: str, model: str) -> float:
    return metrics(server)[f'{name}{{model="{model}"}}']


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, CLIENTS])
def test_the_upstream_is_left_at_once(server: Running, fake: Upstream, name: str, size: int) -> None:
    case = CASES[name]
    fake.script(**case.script)
    before = open_descriptors(server)

    async def story() -> float:
        crowd = Crowd(server, "many", case)
        await crowd.come(size)
        await running(fake, size)
        return crowd.leave()

    left = asyncio.run(story())
    assert last_end(fake, size) - left < LATEST
    happens(lambda: gauge(server, "requests_running", "many") == 0, 1)
    happens(lambda: open_descriptors(server) <= before + 4, 2)
    rows = metrics(server)
    assert all(rows[name] == 0 for name in rows if name.startswith("upstream_outstanding"))
    assert all(rows[name] == 0 for name in rows if "timeout" in name or "broken" in name)


@pytest.mark.parametrize("stream", [False, True])
def test_who_waits_for_a_slot_never_gets_there(server: Running, fake: Upstream, stream: bool) -> None:
    """Two run, a hundred wait; those leave, then the two."""
    case = Case({"first": 60}, stream)
    fake.script(**case.script)

    async def story() -> float:
        first, rest = Crowd(server, "few", case), Crowd(server, "few", case)
        await first.come(2)
        await running(fake, 2)
        await rest.come(100)
        while (await asyncio.to_thread(gauge, server, "requests_waiting", "few")) < 100:
            await asyncio.sleep(0.02)
        rest.leave()
        while (await asyncio.to_thread(gauge, server, "requests_waiting", "few")) > 0:
            await asyncio.sleep(0.02)
        assert fake.seen(0).running == 2
        return first.leave()

    left = asyncio.run(story())
    assert last_end(fake, 2) - left < LATEST
    assert fake.seen(0).paths["/v1/chat/completions"] == 2
    happens(lambda: gauge(server, "requests_running", "few") == 0, 1)
