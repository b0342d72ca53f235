"""Models that come when they are asked, and rest when they are not."""

from __future__ import annotations

import asyncio

import pytest

from backends.errors import Unavailable
from openai_proxy.router import Router
from tests.edge.test_presence import ask, config, engine, order, state, until
from tests.edge.test_router import chat, running


def test_a_model_can_wait_for_its_first_request() -> None:
    async def work(router: Router) -> None:
        assert (state(router), engine().calls) == ("unloaded", [])
        assert router.models["m"].answers
        assert await ask(router) == "hello"
        assert await order(router, "unload")
        assert await ask(router) == "hello"

    running(work, config(load="request"))


@pytest.mark.parametrize(
    ("idle", "calls", "rests"),
    [("sleep", ["start", "sleep", "wake"], "sleeping"), ("unload", ["start", "close", "start"], "unloaded")],
)
def test_an_idle_model_rests_until_it_is_asked(idle: str, calls: list[str], rests: str) -> None:
    async def work(router: Router) -> None:
        await until(lambda: state(router) == rests)
        assert router.models["m"].answers
        assert await ask(router) == "hello"
        assert engine().calls == calls
        await until(lambda: state(router) == rests)

    running(work, config(options={"naps": True}, idle=idle, idle_after=0.05))


def test_a_model_with_work_is_not_idle() -> None:
    async def work(router: Router) -> None:
        engine().gates["run"].clear()
        stream = router.run(chat())
        await anext(stream)
        await asyncio.sleep(0.2)
        assert (state(router), engine().calls) == ("ready", ["start"])
        engine().gates["run"].set()
        assert len([event async for event in stream]) == 2
        await until(lambda: state(router) == "sleeping")

    running(work, config(idle_after=0.05))


def test_idleness_does_not_undo_an_operators_order() -> None:
    async def work(router: Router) -> None:
        await order(router, "unload")
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable, match="unloaded by an operator"):
            await ask(router)

    running(work, config(idle_after=0.03))
