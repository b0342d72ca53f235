"""Loading, unloading, sleeping and waking by order, and all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from backends import Model, Setup, State
from backends.errors import EngineFailed, Unavailable
from backends.events import Delta, Event, Finish, Outcome, Usage
from backends.requests import Request
from openai_proxy.circuit import FAILURES
from openai_proxy.company import Order
from openai_proxy.config import Config, ModelConfig, Timeouts
from openai_proxy.errors import Draining, QueueTimeout, WrongState
from openai_proxy.router import Router
from tests.edge.test_router import chat, metric, running

ENGINE = "tests.edge.test_presence:Engine"


class Engine:
    """Notes what is done with it; each step waits until its gate is open. `naps`: it has a sleep of its own."""

    model = Model(kinds=frozenset({"chat"}))
    slots = 4
    living: dict[str, Engine] = {}  # noqa: RUF012 - one test at a time
    room = 1

    def __init__(self, setup: Setup) -> None:
        self.naps = setup.options.get("naps", False)
        self.changed = setup.changed
        self.state = State("stopped")
        self.calls: list[str] = []
        self.gates = {step: asyncio.Event() for step in ("start", "sleep", "wake", "close", "run")}
        for step, gate in self.gates.items():
            if step != setup.options.get("shut"):
                gate.set()
        self.failures: list[BaseException] = []
        self.living[setup.name] = self

    @staticmethod
    def check_together(setups: Sequence[Setup]) -> None:
        if len(setups) > Engine.room:
            raise ValueError("no room")

    async def start(self) -> None:
        await self._step("start", "loading", "ready")

    async def sleep(self) -> bool:
        if self.naps:
            await self._step("sleep", "ready", "sleeping")
        return bool(self.naps)

    async def wake(self) -> None:
        await self._step("wake", "loading", "ready")

    async def close(self) -> None:
        await self._step("close", "ready", "stopped")

    async def _step(self, step: str, before: Any, after: Any) -> None:
        self.calls.append(step)
        self.state = State(before)
        await self.gates[step].wait()
        if self.failures and step in ("start", "wake"):
            raise self.failures.pop(0)
        self.state = State(after)
        self.changed()

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        if self.state.name != "ready":
            raise EngineFailed(f"the engine is {self.state.name}")
        yield Delta("hello")
        await self.gates["run"].wait()
        yield Finish("stop")
        yield Usage(3, 2)


def config(timeouts: Timeouts | None = None, options: dict[str, Any] | None = None, **model: Any) -> Config:
    models = {"m": ModelConfig(backend=ENGINE, options=options or {}, **model)}
    return Config(models=models, timeouts=timeouts or Timeouts())


def state(router: Router) -> str:
    return router.models["m"].state.name


def engine() -> Engine:
    return Engine.living["m"]


async def order(router: Router, order: Order, seconds: float = 5) -> bool:
    router.models["m"].order(order)
    return await router.models["m"].settle(order, seconds)


async def ask(router: Router) -> str:
    return (await Outcome.of(router.run(chat()))).answers[0].text


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


def test_unloading_lets_what_runs_end_and_refuses_the_rest() -> None:
    async def work(router: Router) -> None:
        stream = router.run(chat())
        await anext(stream)
        unloading = asyncio.create_task(order(router, "unload"))
        await asyncio.sleep(0.02)
        assert (state(router), engine().calls) == ("stopping", ["start"])
        assert metric(router, "model_state", model="m", state="stopping") == 1
        with pytest.raises(Unavailable, match="unloaded by an operator"):
            await ask(router)
        assert len([event async for event in stream]) == 2
        assert await unloading
        assert (state(router), engine().calls) == ("unloaded", ["start", "close"])
        assert metric(router, "model_state", model="m", state="unloaded") == 1
        assert metric(router, "model_state", model="m", state="ready") == 0
        with pytest.raises(Unavailable, match="unloaded by an operator"):
            await ask(router)
        assert await order(router, "unload")
        assert await order(router, "load")
        assert await order(router, "load")
        assert engine().calls == ["start", "close", "start"]
        assert await ask(router) == "hello"

    running(work, config())


@pytest.mark.parametrize(("naps", "calls"), [(True, ["start", "sleep", "wake"]), (False, ["start", "close", "start"])])
def test_a_sleeping_model_wakes_when_it_is_asked(naps: bool, calls: list[str]) -> None:
    async def work(router: Router) -> None:
        for _ in range(2):
            assert await order(router, "sleep")
        assert state(router) == "sleeping"
        assert router.models["m"].answers
        assert set(await asyncio.gather(ask(router), ask(router))) == {"hello"}
        assert (state(router), engine().calls) == ("ready", calls)
        await order(router, "sleep")
        assert await order(router, "wake")
        assert await order(router, "wake")
        assert engine().calls == [*calls, *calls[1:]]

    running(work, config(options={"naps": naps}))


def test_sleep_waits_for_what_runs_and_new_requests_for_both() -> None:
    async def work(router: Router) -> None:
        stream = router.run(chat())
        await anext(stream)
        router.models["m"].order("sleep")
        late = asyncio.create_task(ask(router))
        await asyncio.sleep(0.02)
        assert (state(router), engine().calls) == ("stopping", ["start"])
        assert metric(router, "requests_waiting", model="m") == 1
        assert len([event async for event in stream]) == 2
        assert await late == "hello"
        assert engine().calls == ["start", "sleep", "wake"]

    running(work, config(options={"naps": True}))


def test_a_sleeping_model_can_be_unloaded_and_loaded() -> None:
    async def work(router: Router) -> None:
        assert await order(router, "sleep")
        assert await order(router, "unload")
        assert await order(router, "load")
        assert engine().calls == ["start", "sleep", "close", "start"]
        assert await ask(router) == "hello"

    running(work, config(options={"naps": True}))


def test_unloading_calls_a_load_off() -> None:
    async def work(router: Router) -> None:
        waiting = asyncio.create_task(ask(router))
        await asyncio.sleep(0.01)
        assert state(router) == "loading"
        assert await order(router, "unload")
        assert (state(router), engine().calls) == ("unloaded", ["start", "close"])
        with pytest.raises(Unavailable, match="unloaded by an operator"):
            await waiting
        engine().gates["start"].set()
        assert await order(router, "load")
        assert await ask(router) == "hello"

    running(work, config(options={"shut": "start"}))


def test_loading_during_an_unload_keeps_the_engine_or_starts_it_again() -> None:
    async def work(router: Router) -> None:
        stream = router.run(chat())
        await anext(stream)
        unloading = asyncio.create_task(order(router, "unload"))
        await asyncio.sleep(0.01)
        assert await order(router, "load")
        with pytest.raises(WrongState, match="another order"):
            await unloading
        assert (state(router), engine().calls) == ("ready", ["start"])
        assert len([event async for event in stream]) == 2

        engine().gates["close"].clear()
        router.models["m"].order("unload")
        await until(lambda: "close" in engine().calls)
        loading = asyncio.create_task(order(router, "load"))
        await asyncio.sleep(0.01)
        assert state(router) == "loading"
        engine().gates["close"].set()
        assert await loading
        assert engine().calls == ["start", "close", "start"]

    running(work, config())


def test_a_new_engine_does_not_answer_for_the_one_before() -> None:
    async def work(router: Router) -> None:
        for _ in range(FAILURES):
            router.models["m"].circuit.failed()
        with pytest.raises(Unavailable, match="in a row"):
            await ask(router)
        assert await order(router, "unload")
        assert await order(router, "load")
        assert await ask(router) == "hello"

    running(work, config())


def test_two_loads_at_once_are_one() -> None:
    async def work(router: Router) -> None:
        await order(router, "unload")
        assert all(await asyncio.gather(order(router, "load"), order(router, "load")))
        assert engine().calls == ["start", "close", "start"]

    running(work, config())


def test_an_order_that_takes_long_is_not_waited_for() -> None:
    async def work(router: Router) -> None:
        assert not await order(router, "load", 0.02)
        engine().gates["start"].set()
        assert await order(router, "load")

    running(work, config(options={"shut": "start"}))


@pytest.mark.parametrize("order", ["sleep", "wake"])
def test_orders_that_make_no_sense(order: Order) -> None:
    async def work(router: Router) -> None:
        served = router.models["m"]
        served.order("unload")
        await served.settle("unload", 5)
        with pytest.raises(WrongState, match="is unloaded"):
            served.order(order)
        engine().failures = [EngineFailed("broken")]
        served.order("load")
        with pytest.raises(Unavailable, match="broken"):
            await served.settle("load", 5)
        with pytest.raises(WrongState, match="is failed"):
            served.order(order)

    running(work, config())


def test_a_loading_model_cannot_be_sent_to_sleep() -> None:
    async def work(router: Router) -> None:
        with pytest.raises(WrongState, match="is loading"):
            router.models["m"].order("sleep")
        router.models["m"].order("wake")  # it is on its way
        assert state(router) == "loading"

    running(work, config(options={"shut": "start"}))


@pytest.mark.parametrize("failure", [EngineFailed("no"), OSError("disk"), RuntimeError("a bug")])
def test_a_failed_load_can_be_tried_again(failure: Exception) -> None:
    async def work(router: Router) -> None:
        await order(router, "unload")
        engine().failures = [failure]
        with pytest.raises(Unavailable, match=r"no|disk|internal"):
            await order(router, "load")
        assert state(router) == "failed"
        with pytest.raises(Unavailable, match="could not be loaded"):
            await ask(router)
        assert await order(router, "load")
        assert await ask(router) == "hello"

    running(work, config())


def test_after_a_wake_that_failed_the_engine_is_started_anew() -> None:
    async def work(router: Router) -> None:
        await order(router, "sleep")
        engine().failures = [EngineFailed("no memory")]
        with pytest.raises(Unavailable, match="no memory"):
            await order(router, "wake")
        assert state(router) == "failed"
        assert await order(router, "load")
        assert engine().calls[:3] == ["start", "sleep", "wake"]
        assert engine().calls[-2:] == ["close", "start"]
        assert await ask(router) == "hello"

    running(work, config(options={"naps": True}))


def test_an_engine_that_was_given_up_can_be_loaded_again() -> None:
    async def work(router: Router) -> None:
        engine().state = State("failed", "it died too often")
        assert state(router) == "failed"
        assert await order(router, "load")
        assert engine().calls == ["start", "close", "start"]
        assert await ask(router) == "hello"

    running(work, config())


def test_who_waits_too_long_for_a_wake_is_told_and_the_wake_goes_on() -> None:
    async def work(router: Router) -> None:
        await order(router, "sleep")
        with pytest.raises(QueueTimeout, match="still loading") as refused:
            await ask(router)
        assert refused.value.retry_after is not None
        engine().gates["wake"].set()
        await until(lambda: state(router) == "ready")
        assert await ask(router) == "hello"

    running(work, config(Timeouts(queue=0.03), {"naps": True, "shut": "wake"}))


def test_who_leaves_while_it_wakes_leaves_nothing_behind() -> None:
    async def work(router: Router) -> None:
        await order(router, "sleep")
        waiting = asyncio.create_task(ask(router))
        await until(lambda: metric(router, "requests_waiting", model="m") == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert metric(router, "requests_waiting", model="m") == 0
        engine().gates["wake"].set()
        await until(lambda: state(router) == "ready")

    running(work, config(options={"naps": True, "shut": "wake"}))


@pytest.mark.parametrize("load", ["start", "request"])
def test_a_drain_turns_those_away_who_wait_for_a_load(load: str) -> None:
    async def work(router: Router) -> None:
        waiting = [asyncio.create_task(ask(router)) for _ in range(3)]
        await until(lambda: metric(router, "requests_waiting", model="m") == 3)
        router.turn_away()
        for each in waiting:
            with pytest.raises(Draining):
                await each

    running(work, config(options={"shut": "start"}, load=load))


@pytest.mark.parametrize("shut", ["start", "wake"])
def test_closing_calls_off_what_is_under_way(shut: str) -> None:
    async def work(router: Router) -> None:
        if shut == "wake":
            await order(router, "sleep")
        waiting = asyncio.create_task(ask(router))
        await until(lambda: shut in engine().calls)
        await router.close()
        assert engine().calls[-1] == "close"
        with pytest.raises(Unavailable):
            await waiting
        router.models["m"].presence.want("ready")
        assert engine().calls[-1] == "close"

    running(work, config(options={"naps": True, "shut": shut}))
