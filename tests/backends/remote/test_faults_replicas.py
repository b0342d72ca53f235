"""Replicas that die, and come back, under load: three processes, of which some are killed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backends.remote.asking import SAID, Got, asked, got, happens, line, metrics, post, upstream_row
from tests.backends.remote.serving import SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, upstream

NAMES = ("one", "two", "three")
STREAMS = 200


class Replicas:
    """Three upstreams and a server in front of them, with the options' defaults."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack = stack
        self.upstreams = {name: self.start(name) for name in NAMES}
        start = stack.enter_context(servers(folder))
        urls = [{"url": each.url, "name": name} for name, each in self.upstreams.items()]
        self.server: Running = start(SERVER + model("m", *urls, settings={}))

    def start(self, name: str, port: int = 0) -> Upstream:
        return self.stack.enter_context(upstream("--model", "theirs", "--name", name, "--port", str(port)))

    def back(self, name: str) -> None:
        """Start a new process where the old one was."""
        self.upstreams[name] = self.start(name, self.upstreams[name].port)

    def is_up(self, name: str) -> bool:
        return metrics(self.server)[upstream_row("up", "m", name)] == 1


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(stack, tmp_path)


def streamed(**fields: object) -> bytes:
    return post({"model": "m", "messages": SAID, "stream": True, **fields})


def whose(answer: Got) -> str:
    name: str = answer.events[0]["system_fingerprint"]
    return name


def slowest(server: Running, count: int = 100) -> float:
    """Of so many chats one after the other, the time that 99 in a hundred keep to, in seconds."""
    answers = [asked(server, "m") for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return sorted(answer.took for answer in answers)[count * 99 // 100 - 1]


async def crowd(server: Running, kill: asyncio.Event) -> list[Got]:
    """Two hundred streams to their end; `kill` is set when all have begun."""
    begun = 0

    async def one() -> Got:
        nonlocal begun
        async with line(server, post({"model": "m", "messages": SAID, "stream": True})) as connection:
            await connection.until(b"0000002 ")
            begun += 1
            if begun == STREAMS:
                kill.set()
            return await connection.rest()

    return await asyncio.gather(*(one() for _ in range(STREAMS)))


def test_one_of_three_dies(replicas: Replicas) -> None:
    """Only its own streams end, each with an error event; new requests see nothing of it."""
    server, dying = replicas.server, replicas.upstreams["two"]
    usual = slowest(server)
    for each in replicas.upstreams.values():
        each.script(chunks=100, delay=0.03)

    async def story() -> tuple[list[Got], list[Got], int, float]:
        kill = asyncio.Event()
        running = asyncio.create_task(crowd(server, kill))
        await kill.wait()
        had = dying.seen(0).running
        dying.kill()
        killed = time.monotonic()
        request = post({"model": "m", "messages": SAID})
        after = await asyncio.gather(*(got(server, request) for _ in range(50)))
        return await running, after, had, killed

    streams, after, had, killed = asyncio.run(story())
    ended = Counter(whose(stream) for stream in streams)
    assert ended["two"] == had > STREAMS / 4
    for stream in streams:
        dead = whose(stream) == "two"
        assert stream.status == 200
        assert (stream.done, stream.clean, stream.code) == (
            (False, False, "engine_failed") if dead else (True, True, None)
        )
        assert dead or len(stream.chunks) == 100
    assert {answer.status for answer in after} == {200}
    for survivor in ("one", "three"):
        replicas.upstreams[survivor].reset()
    happens(lambda: slowest(server) < 2 * usual + 0.02, killed + 5 - time.monotonic())
    assert not replicas.is_up("two")


def test_all_die_and_one_comes_back(replicas: Replicas) -> None:
    """Without any replica a client is told at once when to come again; two seconds after a return it is served."""
    server = replicas.server
    for each in replicas.upstreams.values():
        each.script(chunks=1000, delay=0.03)

    async def story() -> tuple[list[Got], float]:
        kill = asyncio.Event()
        running = asyncio.create_task(crowd(server, kill))
        await kill.wait()
        for each in replicas.upstreams.values():
            each.kill()
        killed = time.monotonic()
        streams = await running
        return streams, time.monotonic() - killed

    streams, took = asyncio.run(story())
    assert {(stream.done, stream.clean, stream.code) for stream in streams} == {(False, False, "engine_failed")}
    assert took < 2
    for stream in (False, True):
        answers = [asked(server, "m", stream=stream) for _ in range(20)]
        assert {(answer.status, answer.code) for answer in answers} == {(503, "engine_unavailable")}
        assert all(1 <= int(answer.head["retry-after"]) <= 2 for answer in answers)
        assert max(answer.took for answer in answers) < 0.1
    assert server.status("/livez") == 200
    replicas.back("three")
    back = time.monotonic()
    happens(lambda: asked(server, "m").status == 200, 2)
    print(f"recovered after {time.monotonic() - back:.2f} s")
    assert {asked(server, "m").status for _ in range(20)} == {200}
    assert [name for name in NAMES if replicas.is_up(name)] == ["three"]
