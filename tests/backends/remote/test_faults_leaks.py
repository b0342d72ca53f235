"""After storms of every fault: memory is bounded, and no task, descriptor, slot or request is left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.fake_upstream.faults import FAULTS
from tests.backends.remote.asking import SAID, asked, got, happens, metrics, open_descriptors, post
from tests.backends.remote.conftest import TIMEOUTS, Http
from tests.backends.remote.serving import FORGIVING, SERVER, model, table
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream

# Found by Python at its start: a signal has the server print how many tasks there are.
TELLS = """
import asyncio, signal
signal.signal(signal.SIGUSR2, lambda *_: print("tasks:", len(asyncio.all_tasks()), flush=True))
"""
LARGE = {"endless-body": 2, "huge-chunk": 6}  # requests that fill what they may, each twice for a moment
SLOW = {"trickle", "slow-head"}
NAMES = [re.sub("NNN(-html)?", r"503\1", name).replace("-N", "-3") for name in FAULTS if name not in SLOW]


@pytest.fixture(scope="module")
def server(http: Http, bad: Upstream, good: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "sitecustomize.py").write_text(TELLS)
    settings = {**FORGIVING, "client": http, "keep_alive": 0.2}
    models = model("m", {"url": bad.url, "name": "bad"}, {"url": good.url, "name": "good"}, settings=settings)
    timeouts = table("timeouts", {**TIMEOUTS, "request": 1.0})
    with servers(folder) as start:
        yield start(SERVER + timeouts + models, PYTHONPATH=str(folder))


def tasks(server: Running) -> int:
    told = server.log.read_bytes().count(b"tasks: ")
    os.kill(server.pid, signal.SIGUSR2)
    happens(lambda: server.log.read_bytes().count(b"tasks: ") > told)
    return int(re.findall(rb"tasks: (\d+)", server.log.read_bytes())[-1])


def memory(server: Running, name: str = "VmRSS") -> int:
    """kB; "VmHWM" is the most so far."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+)", status)[0])


def storm(server: Running, count: int, **fields: Any) -> list[int]:
    """The statuses of so many requests at once, some of them left after 0.3 s."""

    async def one(number: int) -> int:
        body = {"model": "m", "messages": SAID, "stream": number % 2 == 0, **fields}
        headers = {"idempotency_key": "x"} if number % 4 < 2 else {}
        try:
            async with asyncio.timeout(0.3 if number % 5 == 0 else 20):
                return (await got(server, post(body, **headers))).status
        except TimeoutError:
            return 0

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(count)))

    return asyncio.run(all_at_once())


def test_nothing_is_left_of_any_fault(server: Running, bad: Upstream, good: Upstream) -> None:
    bad.reset()
    good.reset()
    storm(server, 40)
    happens(lambda: metrics(server)['requests_running{model="m"}'] == 0)
    descriptors, before = open_descriptors(server), tasks(server)
    for name in NAMES:
        bad.script(chunks=8, delay=0.005, fault=name, retry_after=0)
        count = LARGE.get(name, 20)
        assert set(storm(server, count)) <= {0, 200, 429, 500, 503, 504}, name
    bad.reset()
    happens(lambda: metrics(server)['requests_running{model="m"}'] == 0)
    happens(lambda: tasks(server) <= before + 2)  # two probes may be under way
    happens(lambda: open_descriptors(server) <= descriptors + 2)
    rows = metrics(server)
    assert all(value == 0 for name, value in rows.items() if name.startswith("upstream_outstanding"))
    assert set(storm(server, 20)) == {200}
    assert memory(server, "VmHWM") < 400_000


def test_a_body_without_end_is_given_up(server: Running, bad: Upstream, good: Upstream) -> None:
    """At 64 MB, or when its time is over; it never is in memory more than twice."""
    for each in (bad, good):
        each.script(fault="endless-body")
    before = memory(server)
    answer = asked(server, "m")
    assert answer.status in (500, 504)
    assert memory(server, "VmHWM") < max(400_000, before + 150_000)
    for each in (bad, good):
        each.reset()


def test_the_system_has_the_memory_of_large_bodies_back(server: Running, bad: Upstream, good: Upstream) -> None:
    """Six at once fill hundreds of megabytes; the C library would keep them."""
    for each in (bad, good):
        each.script(fault="endless-body")
    before = memory(server)

    async def all_at_once() -> list[int]:
        asks = post({"model": "m", "messages": SAID})
        return [answer.status for answer in await asyncio.gather(*(got(server, asks) for _ in range(6)))]

    assert set(asyncio.run(all_at_once())) <= {500, 504}
    for each in (bad, good):
        each.reset()
    happens(lambda: memory(server) < max(100_000, before + 30_000), 20)
