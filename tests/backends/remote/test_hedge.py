"""Two streams of which the one that begins first answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import httpx2
import pytest

from backends.errors import EngineFailed, Unavailable
from backends.events import Delta, Event
from backends.remote.hedge import hedged
from tests.conftest import Serve
from tests.upstream import upstream


class Run:
    """A stream that begins after a while, or fails then; knows whether it was begun and closed."""

    def __init__(self, text: str, after: float, error: Exception | None = None, length: int = 2) -> None:
        self.text, self.after, self.error, self.length = text, after, error, length
        self.begun = self.closed = False

    async def __call__(self) -> AsyncGenerator[Event, None]:
        self.begun = True
        try:
            await asyncio.sleep(self.after)
            if self.error is not None:
                raise self.error
            for number in range(self.length):
                yield Delta(f"{self.text}{number}")
        finally:
            self.closed = True


async def said(first: Run, second: Run, after: float = 0.02) -> list[str]:
    make: Callable[[Run], Callable[[], AsyncGenerator[Event, None]]] = lambda run: lambda: run.__call__()  # noqa: E731
    async with aclosing(hedged(make(first), make(second), after)) as events:
        return [event.text async for event in events if isinstance(event, Delta)]


def test_one_that_begins_soon_is_left_alone() -> None:
    first, second = Run("a", 0.0), Run("b", 0.0)
    assert asyncio.run(said(first, second, after=5)) == ["a0", "a1"]
    assert not second.begun


def test_one_that_takes_long_is_overtaken_and_closed() -> None:
    first, second = Run("a", 30), Run("b", 0.0)
    assert asyncio.run(said(first, second)) == ["b0", "b1"]
    assert first.closed


def test_the_first_may_still_win() -> None:
    first, second = Run("a", 0.1), Run("b", 30)
    assert asyncio.run(said(first, second)) == ["a0", "a1"]
    assert second.closed


def test_a_failure_before_the_second_was_asked_is_told_at_once() -> None:
    first, second = Run("a", 0.0, EngineFailed()), Run("b", 0.0)
    with pytest.raises(EngineFailed):
        asyncio.run(said(first, second, after=5))
    assert not second.begun


def test_where_one_fails_the_other_answers() -> None:
    assert asyncio.run(said(Run("a", 0.1), Run("b", 0.0, Unavailable()))) == ["a0", "a1"]
    assert asyncio.run(said(Run("a", 0.05, EngineFailed()), Run("b", 0.1))) == ["b0", "b1"]


def test_where_both_fail_the_first_error_is_told() -> None:
    with pytest.raises(EngineFailed):
        asyncio.run(said(Run("a", 0.1, EngineFailed()), Run("b", 0.0, Unavailable())))


def test_an_answer_without_events_is_an_answer() -> None:
    assert asyncio.run(said(Run("a", 0.0, length=0), Run("b", 0.0), after=5)) == []


def test_closing_it_closes_both() -> None:
    first, second = Run("a", 30), Run("b", 30)

    async def leave() -> None:
        task = asyncio.create_task(said(first, second))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert first.closed
    assert second.closed


CONFIG = """
[server]
grace = 0.0
[models.m]
backend = "remote"
upstreams = [{{ url = "{slow}", weight = 100 }}, {{ url = "{quick}" }}]
options = {{ strategy = "weighted", hedge_after = 0.1, slow_start = 0, eject = false }}
"""


def test_a_second_upstream_is_asked_for_what_may_be_sent_twice(serve: Serve) -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    with upstream("--model", "m", "--first", "1.5") as slow, upstream("--model", "m") as quick:
        server = serve(CONFIG.format(slow=slow.url, quick=quick.url))
        answer = httpx2.post(f"{server.base_url}/embeddings", json={"model": "m", "input": "x"}, timeout=30)
        assert answer.status_code == 200
        assert quick.seen().paths["/v1/embeddings"] == 1
        slow.wait_for(lambda seen: [each for each in seen.aborted if each.path == "/v1/embeddings"])
        repeatable = {"idempotency-key": "k"}
        for stream in (False, True):
            body = {**chat, "stream": stream}
            said = httpx2.post(f"{server.base_url}/chat/completions", json=body, headers=repeatable, timeout=30)
            assert said.status_code == 200
        assert quick.seen().paths["/v1/chat/completions"] == 2
        assert httpx2.post(f"{server.base_url}/chat/completions", json=chat, timeout=30).status_code == 200
        assert quick.seen().paths["/v1/chat/completions"] == 2
