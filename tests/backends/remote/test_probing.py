"""Probes, in a loop whose time passes at once."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from backends.remote.pool import NoUpstream, Pool
from backends.remote.probing import ProbeResult
from backends.remote.reports import Report
from backends.remote.upstream import Upstream, Window
from tests.backends.remote.turning import options, run

GOOD = ProbeResult(True, report=Report(waiting=2, cache=0.95))
BAD = ProbeResult(False, reason="status 500")
REFUSED = ProbeResult(False, refused=True, reason="refused")


class Boxes:
    """What each upstream answers to probes, None for nothing at all, and when it was asked."""

    def __init__(self, *names: str, **table: object) -> None:
        self.says: dict[str, ProbeResult | Exception | None] = dict.fromkeys(names, GOOD)
        self.asked: dict[str, list[float]] = {name: [] for name in names}
        loop = asyncio.get_running_loop()
        self.pool = Pool(options(*({"name": name} for name in names), **table), self.probe, loop.time, model="m")

    async def probe(self, upstream: Upstream) -> ProbeResult:
        self.asked[upstream.name].append(asyncio.get_running_loop().time())
        said = self.says[upstream.name]
        if isinstance(said, Exception):
            raise said
        await asyncio.sleep(1000 if said is None else 0.01)
        assert said is not None
        return said

    async def __aenter__(self) -> Boxes:
        self.pool.start()
        self.pool.start()  # does nothing
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.close()
        await self.pool.close()
        assert len(asyncio.all_tasks()) == 1  # this one

    def word(self, name: str) -> str:
        return {each.name: each.state for each in self.pool.state.upstreams}[name]

    async def until(self, name: str, *words: str) -> float:
        """Seconds until this upstream is in one of these states."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self.word(name) not in words:
            await asyncio.sleep(0.01)
            assert loop.time() < began + 60
        return loop.time() - began


def test_all_are_probed_at_the_start_and_then_every_five_seconds() -> None:
    async def story() -> None:
        async with Boxes("a", "b") as boxes:
            assert (boxes.word("a"), boxes.word("b")) == ("up", "up")
            await asyncio.sleep(60)
            for times in boxes.asked.values():
                pauses = [later - earlier for earlier, later in pairwise(times)]
                assert all(4 <= pause <= 5.001 for pause in pauses)
                assert len({round(pause, 3) for pause in pauses}) > 3  # not in step with other proxies

    run(story())


def test_one_refused_probe_makes_it_down_and_two_other_failures() -> None:
    async def story() -> None:
        async with Boxes("a", "b") as boxes:
            boxes.says["a"], boxes.says["b"] = REFUSED, BAD
            assert await boxes.until("a", "down") <= 5
            await boxes.until("b", "down")
            failed = [time for time in boxes.asked["b"] if time > boxes.asked["b"][0]]
            assert len(failed) == 2
            assert [state.why for state in boxes.pool.state.upstreams] == ["refused", "status 500"]
            with pytest.raises(NoUpstream) as caught:
                boxes.pool.lease()
            assert (caught.value.reason, caught.value.retry_after) == ("unavailable", 1.0)

    run(story())


def test_a_success_between_failures_keeps_it_up() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            for _ in range(10):
                boxes.says["a"] = BAD if boxes.says["a"] is GOOD else GOOD
                count = len(boxes.asked["a"])
                while len(boxes.asked["a"]) == count:
                    await asyncio.sleep(0.01)
                assert boxes.word("a") == "up"

    run(story())


@pytest.mark.parametrize("gone", [REFUSED, BAD, None])
def test_a_return_is_noticed_within_two_seconds(gone: ProbeResult | None) -> None:
    """Also if it was silent, so that a probe hangs when it comes back."""

    async def story() -> None:
        async with Boxes("a", "b") as boxes:
            for pause in (1.0, 1.25, 1.5, 1.75):
                boxes.says["a"] = gone
                await boxes.until("a", "down")
                await asyncio.sleep(pause)
                boxes.says["a"] = GOOD
                assert await boxes.until("a", "starting") < 1.7
                assert boxes.word("b") == "up"
                await asyncio.sleep(20)

    run(story())


def test_a_refused_connection_makes_it_down_and_is_looked_into_at_once() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            await asyncio.sleep(1)
            boxes.says["a"] = REFUSED
            with boxes.pool.lease() as lease:
                lease.refused("nobody listens")
            [state] = boxes.pool.state.upstreams
            assert (state.state, state.why) == ("down", "nobody listens")
            await asyncio.sleep(0.05)
            assert len(boxes.asked["a"]) == 2
            boxes.says["a"] = GOOD
            assert await boxes.until("a", "starting") < 1.1

    run(story())


def test_a_failure_is_looked_into_at_once_but_not_without_end() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            await asyncio.sleep(1)
            before = len(boxes.asked["a"])
            for _ in range(100):
                with boxes.pool.lease() as lease:
                    lease.succeeded()
                with boxes.pool.lease() as lease:
                    lease.failed("broken")
                await asyncio.sleep(0.01)
            assert len(boxes.asked["a"]) - before in range(5, 8)  # five a second at most

    run(story())


def test_a_bad_answer_is_no_reason_to_look() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            await asyncio.sleep(1)
            for _ in range(3):
                with boxes.pool.lease() as lease:
                    lease.failed("error")
            await asyncio.sleep(1)
            assert len(boxes.asked["a"]) == 1

    run(story())


def test_coming_back_closes_the_circuit() -> None:
    """Streams that broke with a server opened it; the server that is there now is another one."""

    async def story() -> None:
        async with Boxes("a") as boxes:
            boxes.says["a"] = REFUSED
            for lease in [boxes.pool.lease() for _ in range(20)]:
                lease.failed("broken")
                lease.close()
            assert boxes.word("a") == "open"
            assert await boxes.until("a", "down") < 0.3
            await asyncio.sleep(0.5)
            boxes.says["a"] = GOOD
            assert await boxes.until("a", "starting") < 1.1
            assert boxes.pool.upstreams[0].window == Window()
            boxes.pool.lease().close()

    run(story())


def test_who_answers_requests_is_not_down_though_its_probes_take_long() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            boxes.says["a"] = None
            for _ in range(40):
                await asyncio.sleep(0.5)
                with boxes.pool.lease() as lease:
                    lease.succeeded()
            assert boxes.word("a") == "up"
            assert await boxes.until("a", "down") < 15
            assert boxes.pool.state.upstreams[0].why == "a probe had no answer within 1.5 s"

    run(story())


def test_a_report_lasts_until_the_next_probe() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            [upstream] = boxes.pool.upstreams
            assert (upstream.waiting, upstream.full) == (2, True)
            boxes.says["a"] = BAD
            await asyncio.sleep(6)
            assert (upstream.waiting, upstream.full) == (0, False)

    run(story())


def test_a_probe_that_breaks_is_a_failure_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            boxes.says["a"] = KeyError("mistake")
            await boxes.until("a", "down")
            assert boxes.pool.state.upstreams[0].why == "the probe broke: KeyError"
            boxes.says["a"] = GOOD
            await boxes.until("a", "starting")

    with caplog.at_level(logging.WARNING):
        run(story())
    messages = [record.getMessage() for record in caplog.records]
    assert "the probe of upstream a broke" in messages
    assert messages[-2:] == ["model m: upstream a is down: the probe broke: KeyError", "model m: upstream a is up"]


def test_a_pool_that_was_closed_can_be_started_again() -> None:
    async def story() -> None:
        async with Boxes("a") as boxes:
            boxes.says["a"] = None
            await asyncio.sleep(5)  # closed while a probe hangs
        asked = len(boxes.asked["a"])
        await asyncio.sleep(60)
        assert len(boxes.asked["a"]) == asked
        boxes.says["a"] = GOOD
        async with boxes:
            assert len(boxes.asked["a"]) == asked + 1

    run(story())


def test_zero_means_never_to_probe() -> None:
    async def story() -> None:
        async with Boxes("a", probe_every=0) as boxes:
            with boxes.pool.lease() as lease:
                lease.refused()
            await asyncio.sleep(60)
            assert (boxes.asked["a"], boxes.word("a")) == ([], "unknown")

    run(story())


def test_often_and_patient_if_told_so() -> None:
    async def story() -> None:
        async with Boxes("a", probe_every=0.5, probe_timeout=9) as boxes:
            await asyncio.sleep(10)
            assert len(boxes.asked["a"]) in range(20, 28)
            boxes.says["a"] = REFUSED
            await asyncio.sleep(1)
            before = len(boxes.asked["a"])
            await asyncio.sleep(10)
            assert len(boxes.asked["a"]) - before in range(19, 28)
            boxes.says["a"] = None
            await asyncio.sleep(8)
            before = len(boxes.asked["a"])
            await asyncio.sleep(5)
            assert len(boxes.asked["a"]) == before + 1

    run(story())
