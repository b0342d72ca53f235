"""What a reload of the configuration does to engines: which stay, and which wait for another's end."""

from __future__ import annotations

import asyncio

import pytest

from openai_proxy.router import Router
from tests.edge.test_presence import Engine, ask, config, engine, order, state, until
from tests.edge.test_router import chat, running


@pytest.mark.parametrize(("room", "together"), [(1, False), (2, True)])
def test_a_new_engine_waits_for_the_old_ones_end_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch, room: int, together: bool
) -> None:
    monkeypatch.setattr(Engine, "room", room)

    async def work(router: Router) -> None:
        old = engine()
        stream = router.run(chat())
        await anext(stream)
        router.reload(config(slots=2))
        await asyncio.sleep(0.02)
        assert (engine() is not old, engine().calls) == (True, ["start"] if together else [])
        assert state(router) == ("ready" if together else "loading")
        if not together:
            assert "before it" in router.models["m"].state.note
        assert len([event async for event in stream]) == 2
        assert await ask(router) == "hello"
        await until(lambda: old.calls == ["start", "close"])

    running(work, config())


def test_an_unchanged_model_stays_unloaded_over_a_reload() -> None:
    async def work(router: Router) -> None:
        await order(router, "unload")
        router.reload(config())
        assert state(router) == "unloaded"

    running(work, config())
