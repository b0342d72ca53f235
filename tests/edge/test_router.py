"""The one way to an engine: queue, deadlines, one retry, circuit, counting and reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from backends import Model, Setup, State
from backends.echo import Echo
from backends.errors import BackendError, EngineFailed, EngineTimeout, Refused, Unavailable
from backends.events import Delta, Event, Finish, Outcome, Usage
from backends.requests import ChatRequest, Message, Request, Text
from openai_proxy import turn as module
from openai_proxy.circuit import FAILURES
from openai_proxy.config import Config, ModelConfig, Timeouts
from openai_proxy.errors import Draining, ModelNotFound, QueueFull, QueueTimeout
from openai_proxy.metrics import Metrics
from openai_proxy.router import Router
from openai_proxy.ticker import Ticker

SCRIPTED = "tests.edge.test_router:Scripted"


class Scripted:
    """A backend that does what `answers` says, one entry a call, and knows what became of it."""

    model = Model(kinds=frozenset({"chat"}))
    slots = 4
    living: dict[str, Scripted] = {}  # noqa: RUF012 - one test at a time

    def __init__(self, setup: Setup) -> None:
        if setup.options.get("wrong"):
            raise ValueError("a wrong option")
        self.state = State("stopped")
        self.changed = setup.changed
        self.answers: list[BackendError] = []
        self.calls = self.closed_streams = self.closed = 0
        self.load = asyncio.Event()
        if not setup.options.get("slow"):
            self.load.set()
        self.failure: Exception | None = OSError("no disk") if setup.options.get("broken") else None
        self.living[setup.name] = self

    async def start(self) -> None:
        await self.load.wait()
        if self.failure is not None:
            raise self.failure
        self.state = State("ready")

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        self.calls += 1
        try:
            if self.answers:
                raise self.answers.pop(0)
            yield Delta("hello")
            yield Finish("stop")
            yield Usage(3, 2)
        finally:
            self.closed_streams += 1

    async def close(self) -> None:
        self.closed += 1


def chat(name: str = "m", script: dict[str, Any] | None = None) -> ChatRequest:
    message = Message(role="user", parts=(Text("one two three"),))
    return ChatRequest(model=name, messages=(message,), extra={"script": script} if script else {})


def metric(router: Router, name: str, **labels: str) -> float:
    return router.metrics.registry.get_sample_value(f"openai_proxy_{name}", labels) or 0.0


def running(work: Callable[[Router], Coroutine[Any, Any, None]], config: Config | None = None) -> None:
    """Run a test with a started router, and close it."""

    async def live() -> None:
        router = Router(config or Config(models={"m": ModelConfig(backend=SCRIPTED)}), Metrics(), Ticker())
        router.start()
        await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(10):
                await work(router)
        finally:
            await router.close()

    asyncio.run(live())


def echo(timeouts: Timeouts | None = None, **model: Any) -> Config:
    return Config(models={"m": ModelConfig(backend="echo", **model)}, timeouts=timeouts or Timeouts())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_PAUSE", 0.0)


def test_events_come_through_and_are_counted() -> None:
    async def work(router: Router) -> None:
        outcome = await Outcome.of(router.run(chat()))
        assert outcome.answers[0].text == "hello"
        assert metric(router, "requests_total", model="m", outcome="ok") == 1
        assert metric(router, "prompt_tokens_total", model="m") == 3
        assert metric(router, "completion_tokens_total", model="m") == 2
        assert metric(router, "requests_running", model="m") == 0
        assert metric(router, "queue_seconds_count", model="m") == 1
        assert metric(router, "first_event_seconds_count", model="m") == 1

    running(work)


def test_an_engine_that_never_started_is_asked_once_more(quick: None) -> None:
    async def work(router: Router) -> None:
        engine = Scripted.living["m"]
        engine.answers = [Unavailable()]
        assert (await Outcome.of(router.run(chat()))).answers[0].text == "hello"
        assert (engine.calls, engine.closed_streams) == (2, 2)
        assert metric(router, "retries_total", model="m") == 1
        engine.answers = [Unavailable(), Unavailable()]
        with pytest.raises(Unavailable):
            await Outcome.of(router.run(chat()))
        assert engine.calls == 4
        assert metric(router, "requests_total", model="m", outcome="Unavailable") == 1

    running(work)


@pytest.mark.parametrize("error", [EngineFailed, EngineTimeout, Refused])
def test_what_was_started_is_not_repeated(error: type[BackendError]) -> None:
    async def work(router: Router) -> None:
        engine = Scripted.living["m"]
        engine.answers = [error()]
        with pytest.raises(error):
            await Outcome.of(router.run(chat()))
        assert engine.calls == 1
        assert metric(router, "requests_total", model="m", outcome=error.__name__) == 1

    running(work)


def test_failures_open_the_circuit_and_the_engine_is_left_alone() -> None:
    async def work(router: Router) -> None:
        engine = Scripted.living["m"]
        engine.answers = [EngineFailed() for _ in range(FAILURES)]
        for _ in range(FAILURES):
            with pytest.raises(EngineFailed):
                await Outcome.of(router.run(chat()))
        with pytest.raises(Unavailable) as caught:
            await Outcome.of(router.run(chat()))
        assert engine.calls == FAILURES
        assert caught.value.retry_after > 5
        router.models["m"].circuit._opened -= 60
        assert (await Outcome.of(router.run(chat()))).answers
        assert router.models["m"].circuit.failures == 0

    running(work)


def test_a_restart_is_told_and_closes_the_circuit(caplog: pytest.LogCaptureFixture) -> None:
    async def work(router: Router) -> None:
        engine = Scripted.living["m"]

        def becomes(state: State) -> None:
            engine.state = state
            engine.changed()

        assert metric(router, "engine_restarts_total", model="m") == 0
        becomes(State("restarting", "it died"))
        engine.answers = [EngineFailed() for _ in range(FAILURES)]
        for _ in range(FAILURES):
            with pytest.raises(EngineFailed):
                await Outcome.of(router.run(chat()))
        becomes(State("ready"))
        assert metric(router, "engine_restarts_total", model="m") == 1
        assert (await Outcome.of(router.run(chat()))).answers
        becomes(State("restarting", "it died"))
        becomes(State("failed", "it did not come back"))
        assert metric(router, "engine_restarts_total", model="m") == 1
        told = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
        assert told == ["model m restarts: it died"] * 2 + ["model m failed: it did not come back"]

    running(work)


def test_refusals_do_not_open_the_circuit() -> None:
    async def work(router: Router) -> None:
        Scripted.living["m"].answers = [Refused() for _ in range(2 * FAILURES)]
        for _ in range(2 * FAILURES):
            with pytest.raises(Refused):
                await Outcome.of(router.run(chat()))
        assert (await Outcome.of(router.run(chat()))).answers

    running(work)


def test_an_answer_that_takes_too_long_as_a_whole_says_nothing_of_the_engine() -> None:
    async def work(router: Router) -> None:
        for _ in range(FAILURES + 1):
            with pytest.raises(EngineTimeout):
                await Outcome.of(router.run(chat(script={"delay": 0.01, "chunks": 100})))
        assert router.models["m"].circuit.failures == 0

    running(work, echo(Timeouts(request=0.03)))


def test_leaving_early_stops_the_engine_and_frees_the_slot() -> None:
    async def work(router: Router) -> None:
        async with aclosing(router.run(chat())) as events:
            await anext(events)
            assert metric(router, "requests_running", model="m") == 1
        assert Scripted.living["m"].closed_streams == 1
        assert metric(router, "requests_running", model="m") == 0
        assert metric(router, "requests_total", model="m", outcome="canceled") == 1

    running(work)


@pytest.mark.parametrize(
    ("timeouts", "script", "timer"),
    [
        (Timeouts(first_token=0.03), {"first_delay": 5}, "first_token"),
        (Timeouts(between_tokens=0.03), {"stall": True, "after": 2, "chunks": 5}, "between_tokens"),
        (Timeouts(request=0.1), {"delay": 0.04, "chunks": 100}, "request"),
    ],
)
def test_every_timer_of_an_engine_ends_the_request(timeouts: Timeouts, script: dict[str, Any], timer: str) -> None:
    async def work(router: Router) -> None:
        with pytest.raises(EngineTimeout):
            await Outcome.of(router.run(chat(script=script)))
        assert metric(router, "timeouts_total", timer=timer) == 1
        assert metric(router, "requests_total", model="m", outcome="EngineTimeout") == 1
        assert metric(router, "requests_running", model="m") == 0
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    running(work, echo(timeouts))


def test_the_queue_has_its_timer_and_its_bound() -> None:
    async def work(router: Router) -> None:
        async with aclosing(router.run(chat(script={"chunks": 5}))) as events:
            await anext(events)
            waiting = asyncio.create_task(Outcome.of(router.run(chat())))
            await asyncio.sleep(0.01)
            assert metric(router, "requests_waiting", model="m") == 1
            with pytest.raises(QueueFull):
                await Outcome.of(router.run(chat()))
            with pytest.raises(QueueTimeout):
                await waiting
        assert metric(router, "timeouts_total", timer="queue") == 1
        assert metric(router, "requests_waiting", model="m") == 0
        assert (await Outcome.of(router.run(chat()))).answers

    running(work, echo(Timeouts(queue=0.05), slots=1, queue=1))


def test_a_drain_turns_the_queue_away() -> None:
    async def work(router: Router) -> None:
        async with aclosing(router.run(chat())) as events:
            await anext(events)
            waiting = asyncio.create_task(Outcome.of(router.run(chat())))
            await asyncio.sleep(0.01)
            router.turn_away()
            with pytest.raises(Draining):
                await waiting
            with pytest.raises(Draining):
                await Outcome.of(router.run(chat()))
            assert len([event async for event in events]) == 4

    running(work, echo(slots=1))


def test_a_model_that_loads_lets_wait_and_one_that_cannot_is_unavailable() -> None:
    async def work(router: Router) -> None:
        waiting = asyncio.create_task(Outcome.of(router.run(chat("slow"))))
        await asyncio.sleep(0.01)
        assert metric(router, "requests_waiting", model="slow") == 1
        assert metric(router, "model_ready", model="slow") == 0
        with pytest.raises(Unavailable):
            await Outcome.of(router.run(chat("slow")))
        Scripted.living["slow"].load.set()
        assert (await waiting).answers
        assert metric(router, "model_ready", model="slow") == 1
        with pytest.raises(Unavailable) as caught:
            await Outcome.of(router.run(chat("broken")))
        assert caught.value.retry_after == 120
        assert "no disk" not in caught.value.message

    models = {name: ModelConfig(backend=SCRIPTED, queue=1, options={name: True}) for name in ("slow", "broken")}
    running(work, Config(models=models))


def test_waiting_for_a_load_has_an_end() -> None:
    async def work(router: Router) -> None:
        with pytest.raises(QueueTimeout):
            await Outcome.of(router.run(chat()))
        assert metric(router, "timeouts_total", timer="queue") == 1

    models = {"m": ModelConfig(backend=SCRIPTED, options={"slow": True})}
    running(work, Config(models=models, timeouts=Timeouts(queue=0.03)))


def test_names_aliases_and_the_default() -> None:
    async def work(router: Router) -> None:
        assert router.find("m") is router.find("alias") is router.find(None)
        for name in ("", "M", "nobody"):
            with pytest.raises(ModelNotFound):
                router.find(name)

    models = {"m": ModelConfig(backend="echo", aliases=("alias",))}
    running(work, Config(models=models, default_model="m"))


def configured(**models: dict[str, Any]) -> Config:
    return Config(models={name: ModelConfig(backend=SCRIPTED, options=options) for name, options in models.items()})


def test_a_reload_keeps_what_is_unchanged_and_what_runs() -> None:
    async def work(router: Router) -> None:
        old = {name: Scripted.living[name] for name in ("kept", "changed", "gone")}
        events = {name: router.run(chat(name)) for name in old}
        for stream in events.values():
            await anext(stream)
        router.reload(configured(kept={}, changed={"x": 1}, new={}))
        await asyncio.sleep(0.01)
        assert Scripted.living["kept"] is old["kept"]
        assert Scripted.living["changed"] is not old["changed"]
        with pytest.raises(ModelNotFound):
            router.find("gone")
        assert [engine.closed for engine in old.values()] == [0, 0, 0]
        for stream in events.values():
            assert len([event async for event in stream]) == 2
        await asyncio.sleep(0.25)
        assert [engine.closed for engine in old.values()] == [0, 1, 1]
        for name in ("kept", "changed", "new"):
            assert metric(router, "model_ready", model=name) == 1
            assert (await Outcome.of(router.run(chat(name)))).answers
        assert metric(router, "model_ready", model="gone") == 0

    running(work, configured(kept={}, changed={}, gone={}))


def test_a_refused_reload_changes_nothing() -> None:
    async def work(router: Router) -> None:
        before = router.models["m"]
        with pytest.raises(ValueError, match="wrong"):
            router.reload(configured(m={"x": 1}, other={"wrong": True}))
        assert router.models == {"m": before}
        assert metric(router, "model_ready", model="m") == 1

    running(work, configured(m={}))


def test_engines_of_removed_models_are_closed_at_the_end_too() -> None:
    removed: list[Scripted] = []

    async def work(router: Router) -> None:
        removed.append(Scripted.living["m"])
        stream = router.run(chat())
        await anext(stream)
        router.reload(configured(other={}))
        await asyncio.sleep(0.01)
        assert removed[0].closed == 0
        await router.close()
        assert removed[0].closed == 1
        await stream.aclose()

    running(work, configured(m={}))


def test_changes_of_states_are_told() -> None:
    async def work(router: Router) -> None:
        async with aclosing(router.changes()) as changes:
            assert {name: state.name for name, state in (await anext(changes)).items()} == {"m": "ready"}
            router.reload(Config(models={"e": ModelConfig(backend="echo")}))
            assert set(await anext(changes)) == {"e"}

    running(work, Config(models={"m": ModelConfig(backend="echo")}))


def test_the_echo_backend_is_what_the_name_says() -> None:
    async def work(router: Router) -> None:
        assert isinstance(router.models["m"].backend, Echo)

    running(work, echo())
