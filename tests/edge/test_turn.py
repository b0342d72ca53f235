"""Deadlines of one request's engine, and what is thought to be its prompt's length."""

from __future__ import annotations

import asyncio
import time

import pytest

from backends.errors import EngineTimeout
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    Image,
    Message,
    Request,
    ScoreRequest,
    Text,
    TokenizeRequest,
    TranscriptionRequest,
)
from openai_proxy.config import ModelConfig, Timeouts
from openai_proxy.metrics import Metrics
from openai_proxy.served import Served
from openai_proxy.ticker import Ticker
from openai_proxy.turn import Turn, estimate

SHORT = ChatRequest(model="m", messages=(Message(role="user", parts=(Text("one two three"),)),))
LONG = CompletionRequest(model="m", prompts=("x" * 40_000,))


class Engine:
    """Turns in one model, and what was counted of them."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.served = Served("m", ModelConfig(backend="echo"), self.metrics, lambda: None, lambda: 1.0)

    def turn(self, first: float = 5, between: float = 5, whole: float = 5, request: Request = SHORT) -> Turn:
        assert self.served.admission.take()
        timeouts = Timeouts(first_token=first, between_tokens=between, request=whole)
        return Turn(self.served, time.monotonic(), Ticker(), timeouts, request)

    def expired(self, timer: str) -> float:
        return self.metrics.registry.get_sample_value("openai_proxy_timeouts_total", {"timer": timer}) or 0.0


async def wait(turn: Turn, seconds: float = 1) -> None:
    with turn:
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(
    ("timer", "first", "between", "whole", "steps"),
    [("first_token", 0.02, 5, 5, 0), ("between_tokens", 5, 0.02, 5, 2), ("request", 5, 5, 0.02, 0)],
)
def test_each_timer_has_its_name(timer: str, first: float, between: float, whole: float, steps: int) -> None:
    async def work() -> None:
        engine = Engine()
        turn = engine.turn(first, between, whole)
        turn.steps = steps
        with pytest.raises(EngineTimeout):
            await wait(turn)
        assert engine.expired(timer) == 1
        assert engine.served.admission.running == 0
        assert engine.served.circuit.failures == (timer != "request")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(work())


def test_in_time_is_in_time() -> None:
    async def work() -> None:
        with Engine().turn(0.2, 0.2) as turn:
            for _ in range(8):
                await asyncio.sleep(0.06)
                turn.steps += 2

    asyncio.run(work())


def test_the_clock_stands_still_while_the_consumer_works() -> None:
    async def work() -> None:
        with Engine().turn(0.1, 0.1) as turn:
            turn.steps = 1
            await asyncio.sleep(0.4)

    asyncio.run(work())


def test_a_long_prompt_may_take_longer() -> None:
    async def work() -> None:
        await wait(Engine().turn(first=0.02, request=LONG), 0.2)

    asyncio.run(work())


def test_a_cancellation_of_others_is_not_absorbed() -> None:
    async def work() -> None:
        engine = Engine()
        task = asyncio.create_task(wait(engine.turn(), 5))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.served.circuit.failures == 0

    asyncio.run(work())


def test_both_at_once_is_the_cancellation_of_others() -> None:
    async def both(turn: Turn) -> None:
        with turn:
            turn.look(time.monotonic() + 9)
            turn.task.cancel()
            await asyncio.sleep(1)

    async def work() -> None:
        engine = Engine()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(late(engine))
        assert engine.expired("first_token") == 0

    async def late(engine: Engine) -> None:
        await both(engine.turn(first=1, whole=99))

    asyncio.run(work())


def test_prompts_of_every_kind_are_estimated() -> None:
    assert estimate(SHORT) == 3
    assert estimate(CompletionRequest(model="m", prompts=("x" * 40, (1, 2, 3)))) == 13
    assert estimate(EmbeddingRequest(model="m", inputs=("x" * 40, (1, 2, 3)))) == 13
    assert estimate(ScoreRequest(model="m", queries=("x" * 40,), documents=("x" * 4, "x" * 8))) == 23
    assert estimate(TokenizeRequest(model="m", prompt="x" * 40)) == 10
    assert estimate(TokenizeRequest(model="m", prompt=SHORT)) == 3
    assert estimate(DetokenizeRequest(model="m", tokens=(1, 2, 3))) == 3
    sound = Audio(bytes(16_000), "wav", 60.0)
    assert estimate(TranscriptionRequest(model="m", audio=sound)) == 100
    parts = (Text("x" * 40), Image(b"", "image/png", 1, 1), sound)
    assert estimate(ChatRequest(model="m", messages=(Message(role="user", parts=parts),))) == 1110
