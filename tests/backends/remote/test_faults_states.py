"""What keeps work away from an upstream, and when it comes back: circuit, ejection, probes, slow start, fallback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.backends.remote.asking import SAID, Got, asked, got, happens, line, metrics, post, upstream_row
from tests.backends.remote.conftest import Pair
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, threaded

Start: TypeAlias = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, bad: Upstream, good: Upstream) -> Iterator[Start]:
    """A server whose model `m` has both upstreams, with these options; `favour` is the weight of `bad`."""
    bad.reset()
    good.reset()
    with servers(tmp_path) as serve:

        def begin(favour: float = 1, more: str = "", path: str = "/readyz", **options: Any) -> Running:
            upstreams = {"url": bad.url, "name": "bad", "weight": favour}, {"url": good.url, "name": "good"}
            return serve(SERVER + model("m", *upstreams, settings={**FORGIVING, **options}) + more, path=path)

        yield begin


def row(server: Running, name: str, upstream: str = "bad") -> float:
    return metrics(server)[upstream_row(name, "m", upstream)]


async def together(server: Running, count: int, **fields: Any) -> list[Got]:
    request = post({"model": "m", "messages": SAID, **fields})
    return await asyncio.gather(*(got(server, request) for _ in range(count)))


def test_five_failures_open_the_circuit_and_one_request_tries(start: Start, bad: Upstream, good: Upstream) -> None:
    server = start(favour=1000, circuit_failures=5, circuit_pause=0.5, probe_every=0)
    bad.script(fault="close-before")
    assert [asked(server, "m").status for _ in range(4)] == [500] * 4
    assert row(server, "circuit_open") == 0
    assert asked(server, "m").status == 500
    opened = time.monotonic()
    assert row(server, "circuit_open") == 1
    assert {answer.status for answer in asyncio.run(together(server, 30))} == {200}
    assert Pair.arrived(bad) == 5
    time.sleep(max(0.0, opened + 0.55 - time.monotonic()))  # the pause
    bad.script(first=0.3)
    answers = asyncio.run(together(server, 30))
    assert [answer.status for answer in answers].count(500) == 1
    assert Pair.arrived(bad) == 6
    assert row(server, "circuit_open") == 1
    time.sleep(0.55)
    bad.script(fault=None)
    assert {answer.status for answer in asyncio.run(together(server, 30))} == {200}
    assert Pair.arrived(bad) == 7
    assert row(server, "circuit_open") == 0
    assert {answer.status for answer in asyncio.run(together(server, 30))} == {200}
    assert Pair.arrived(bad) > 7 + 20


def test_the_clients_own_faults_and_refusals_for_load_open_nothing(start: Start, bad: Upstream) -> None:
    server = start(favour=1000, circuit_failures=5, circuit_pause=60, probe_every=0)
    for fault in ("status-400", "status-404", "status-429"):
        bad.script(fault=fault, retry_after=None)
        for _ in range(8):
            asked(server, "m")
    assert row(server, "circuit_open") == 0


@pytest.mark.slow
def test_one_that_does_far_worse_is_left_out(start: Start, bad: Upstream, good: Upstream) -> None:
    """Every other request fails there: after the next look, one each ten seconds, all goes to the others."""
    server = start(eject=True)
    bad.script(fault="status-500", fault_every=2)
    began = time.monotonic()
    while row(server, "ejected") == 0:
        assert time.monotonic() < began + 12
        asyncio.run(together(server, 10))
        time.sleep(0.2)
    before = Pair.arrived(bad)
    assert {answer.status for answer in asyncio.run(together(server, 50))} == {200}
    assert Pair.arrived(bad) == before
    good.script(down=0.5)
    assert 200 in {asked(server, "m").status for _ in range(4)}  # it does badly, which is better than nothing
    happens(lambda: row(server, "up", "good") == 1)


def test_probes_find_out_without_requests(start: Start, bad: Upstream, good: Upstream) -> None:
    """Two bad answers to probes and it is down; what runs there goes on, and what is new goes elsewhere."""
    server = start(favour=1000, probe_path="/health", probe_every=0.2)

    async def story() -> Got:
        bad.script(chunks=50, delay=0.03)
        async with line(server, post({"model": "m", "messages": SAID, "stream": True})) as connection:
            await connection.until(b"0000001 ")
            bad.script(health=503)
            while await asyncio.to_thread(row, server, "up") == 1:
                await asyncio.sleep(0.02)
            assert {answer.status for answer in await together(server, 10)} == {200}
            return await connection.rest()

    stream = asyncio.run(story())
    assert stream.done
    assert len(stream.chunks) == 50
    assert (Pair.arrived(bad), Pair.arrived(good)) == (1, 10)
    bad.reset()
    happens(lambda: row(server, "up") == 1, 2)
    assert asked(server, "m").status == 200
    assert Pair.arrived(bad) == 1


def test_probes_that_hang_find_out_too(start: Start, bad: Upstream) -> None:
    server = start(probe_path="/health", probe_every=0.2, probe_timeout=0.2)
    bad.script(probes=True, fault="stall-before")
    happens(lambda: row(server, "up") == 0, 2)
    bad.reset()
    happens(lambda: row(server, "up") == 1, 2)


def test_who_comes_back_begins_slowly(start: Start, bad: Upstream, good: Upstream) -> None:
    """A tenth of its share at first, all of it after `slow_start` seconds."""
    server = start(strategy="weighted", slow_start=2, probe_every=0.5)
    bad.script(down=0.3)
    happens(lambda: row(server, "up") == 0 or not asked(server, "m").status, 2)
    happens(lambda: row(server, "up") == 1, 3)
    back = time.monotonic()
    bad.reset()
    asyncio.run(together(server, 40))
    assert time.monotonic() < back + 1
    assert 1 <= Pair.arrived(bad) <= 13
    time.sleep(max(0.0, back + 2.05 - time.monotonic()))
    bad.reset()
    asyncio.run(together(server, 40))
    assert 18 <= Pair.arrived(bad) <= 22


def test_another_model_answers_what_this_one_has_no_room_for(start: Start, bad: Upstream, good: Upstream) -> None:
    """Full, refused for its length, or gone: the fallback answers, and says so."""
    small = model("small", {"url": good.url, "name": "good"}, settings=FORGIVING)
    big = model("big", {"url": bad.url, "name": "bad"}, settings=FORGIVING, slots=1, queue=0, fallback=["small"])
    server = start(more=big + small)

    def answered() -> str:
        answer = asked(server, "big", stream=True)
        assert answer.done
        name: str = answer.events[0]["model"]
        return name

    assert answered() == "big"

    async def story() -> str:
        bad.script(first=60)
        async with line(server, post({"model": "big", "messages": SAID})):
            while not bad.seen(0).running:
                await asyncio.sleep(0.01)
            return await asyncio.to_thread(answered)

    assert asyncio.run(story()) == "small"
    bad.script(first=0, fault="status-400", code="context_length_exceeded")
    assert answered() == "small"
    bad.script(fault="status-503")
    assert answered() == "small"
    bad.reset()
    happens(lambda: answered() == "big")
    bad.script(down=0.5)
    happens(lambda: asked(server, "big", stream=True).names("small"))  # it may go in the middle of an answer
    happens(lambda: asked(server, "big", stream=True).names("big"))


def test_a_mark_goes_along_to_the_other_model(start: Start, bad: Upstream, good: Upstream) -> None:
    """With an Idempotency-Key the fallback, too, is asked again where it broke."""
    with threaded(refuse=True) as nobody:
        text = model("lost", {"url": nobody.url}, settings=FORGIVING, fallback=["m"])
        server = start(favour=1000, more=text, path="/livez")
        happens(lambda: asked(server, "m").status == 200)
        bad.reset()
        bad.script(fault="close-before")
        assert asked(server, "lost").status == 500
        assert asked(server, "lost", key="once").status == 200
    assert (Pair.arrived(bad), Pair.arrived(good)) == (2, 1)
