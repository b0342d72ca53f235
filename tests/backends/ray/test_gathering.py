"""A replica's side of one answer, without Ray: what leaves together, and what a slow reader holds up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from backends.errors import EngineFailed
from backends.events import Delta, Event, Finish
from backends.ray.gathering import MOST, Gathering
from backends.ray.messages import WEIGHT, WINDOW, Failed, Message, decode


class Source:
    """Events as fast as they are taken; how many were, and whether it was closed."""

    def __init__(self, count: int, text: str = "x", error: Exception | None = None) -> None:
        self.made = 0
        self.closed = False
        self._count = count
        self._text = text
        self._error = error

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            for _ in range(self._count):
                self.made += 1
                yield Delta(self._text)
            if self._error is not None:
                raise self._error
            yield Finish("stop")
        finally:
            self.closed = True


async def arrived(gathering: Gathering, beat: float = 0.0) -> list[list[Message]]:
    async with aclosing(gathering.messages(beat)) as messages:
        return [list(decode(message)) async for message in messages]


def test_what_is_at_hand_leaves_together_and_in_order() -> None:
    source = Source(1000)
    messages = asyncio.run(arrived(Gathering(source.events())))
    assert len(messages) <= 1000 // MOST + 2
    events = [event for message in messages for event in message]
    assert events == [*[Delta("x")] * 1000, Finish("stop")]


def test_under_load_the_events_of_a_beat_leave_together_but_the_first_at_once() -> None:
    async def slow() -> AsyncGenerator[Event, None]:
        for _ in range(20):
            yield Delta("x")
            await asyncio.sleep(0.005)

    messages = asyncio.run(arrived(Gathering(slow()), beat=0.05))
    assert len(messages[0]) == 1
    assert len(messages) <= 5
    assert sum(map(len, messages)) == 20


def test_an_error_of_the_backend_comes_last_and_any_other_is_raised() -> None:
    messages = asyncio.run(arrived(Gathering(Source(2, error=EngineFailed("why")).events())))
    assert [event for message in messages for event in message] == [
        *[Delta("x")] * 2,
        Failed("EngineFailed", {"message": "why", "param": None}),
    ]
    with pytest.raises(ZeroDivisionError):
        asyncio.run(arrived(Gathering(Source(2, error=ZeroDivisionError()).events())))


def test_a_reader_that_takes_nothing_holds_the_engine_up_until_it_does() -> None:
    async def run() -> None:
        source = Source(100_000, "x" * 1000)
        gathering = Gathering(source.events())
        sent = 0
        async with aclosing(gathering.messages(0.0)) as messages:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    async for message in messages:
                        sent += len(message) + WEIGHT
        assert WINDOW < sent < WINDOW + 2 * MOST * 1100
        assert source.made < 2 * MOST + sent // 1000
        assert source.closed

    async def go_on() -> None:
        source = Source(5000, "x" * 1000)
        gathering = Gathering(source.events())
        sent = 0
        async with aclosing(gathering.messages(0.0)) as messages:
            async for message in messages:
                sent += len(message) + WEIGHT
                gathering.taken(sent)
        assert source.made == 5000
        assert source.closed

    asyncio.run(run())
    asyncio.run(go_on())


def test_closing_the_messages_closes_the_events() -> None:
    async def leave() -> Source:
        source = Source(100_000, "x" * 1000)
        async with aclosing(Gathering(source.events()).messages(0.0)) as messages:
            async for _ in messages:
                break
        return source

    source = asyncio.run(leave())
    assert source.closed
    assert source.made < 3 * MOST
