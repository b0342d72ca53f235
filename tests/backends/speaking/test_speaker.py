"""What every backend does that speaks in threads of the server's process."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest

from backends import Setup, State
from backends.errors import BackendError, OtherKind, Refused, Unavailable
from backends.events import Sound, Usage
from backends.requests import ChatRequest, SpeechRequest
from backends.speaking import Engine, LoadFailed
from tests.backends.speaking.talking import RATE, Talker, events, seconds, soon, talker


def request(text: str) -> SpeechRequest:
    return SpeechRequest(model="m", text=text)


def test_the_first_sound_is_there_before_the_second_is_made() -> None:
    async def listen() -> None:
        backend = talker()
        await backend.start()
        backend.words.allowed = type(backend.words.allowed)(1)
        async with aclosing(backend.run(request("one two three"))) as stream:
            first = await anext(stream)
            assert isinstance(first, Sound)
            assert first.rate == RATE
            assert backend.words.made == ["one"]
            backend.words.allowed.release(2)
            rest = [event async for event in stream]
        assert backend.words.made == ["one", "two", "three"]
        assert [type(event) for event in rest] == [Sound, Sound, Usage]
        assert rest[-1] == Usage(prompt=13, seconds=3.0)

    asyncio.run(listen())


def test_nothing_is_made_that_is_not_asked_for() -> None:
    async def leave() -> None:
        backend = talker()
        await backend.start()
        async with aclosing(backend.run(request("one two three"))) as stream:
            await anext(stream)
            await asyncio.sleep(0.05)
        assert backend.words.made == ["one"]
        assert backend.words.closed == 1
        assert await events(backend, "more")

    asyncio.run(leave())


def test_a_canceled_request_makes_no_further_sentence() -> None:
    async def cancel() -> None:
        backend = talker()
        await backend.start()
        backend.words.allowed = type(backend.words.allowed)(0)
        running = asyncio.create_task(events(backend, "one two three"))
        await soon(backend.words.asked.is_set)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        backend.words.allowed.release(10)
        await soon(lambda: backend.words.made == ["one"])
        assert len(await events(backend, "four")) == 2
        assert backend.words.made == ["one", "four"]
        await backend.close()

    asyncio.run(cancel())


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_is_made_at_once_than_there_are_threads(threads: int) -> None:
    async def many() -> None:
        backend = talker(threads=threads)
        await backend.start()
        await asyncio.gather(*(events(backend, "a b c d") for _ in range(8)))
        assert backend.words.most <= threads
        assert len(backend.words.made) == 32
        await backend.close()

    asyncio.run(many())


def test_requests_take_turns() -> None:
    async def two() -> None:
        backend = talker(threads=1)
        await backend.start()
        await asyncio.gather(events(backend, "a " * 6), events(backend, "b " * 6))
        assert all(one != other for one, other in pairwise(backend.words.made[1:-1]))
        await backend.close()

    asyncio.run(two())


@pytest.mark.parametrize(("speed", "own"), [(0.25, 0.25), (1.0, 1.0), (2.0, 2.0), (3.0, 2.0), (4.0, 2.0)])
def test_speed_beyond_the_engines_is_stretched(speed: float, own: float) -> None:
    async def speak() -> None:
        backend = talker()
        await backend.start()
        found = await events(backend, "one two three", speed=speed)
        assert backend.words.speeds == [own]
        expected = 3 / speed if speed > own else 3 * min(1.0, 1 / own)
        assert seconds(found) == pytest.approx(expected, rel=0.05)
        assert isinstance(found[-1], Usage)
        assert found[-1].seconds == pytest.approx(seconds(found))

    asyncio.run(speak())


def test_voices_are_checked() -> None:
    async def speak() -> None:
        backend = talker()
        await backend.start()
        assert await events(backend, "one", voice="two")
        with pytest.raises(Refused, match="known are one, two") as refused:
            await events(backend, "one", voice="alloy")
        assert refused.value.param == "voice"

    asyncio.run(speak())


def test_what_cannot_be_read_is_refused_and_never_empty() -> None:
    async def speak() -> None:
        backend = talker()
        await backend.start()
        with pytest.raises(Refused, match=r"^input holds nothing") as refused:
            await events(backend, "  ")
        assert refused.value.param == "input"
        with pytest.raises(OtherKind):
            await anext(backend.run(ChatRequest(model="m", messages=())))

    asyncio.run(speak())


def test_its_life() -> None:
    async def live() -> None:
        states: list[State] = []
        backend = Talker(Setup(name="m", changed=lambda: states.append(backend.state)))
        await backend.start()
        await backend.close()
        await backend.close()
        with pytest.raises(Unavailable):
            await events(backend, "one")
        await backend.start()
        assert await events(backend, "one")
        assert [state.name for state in states] == ["loading", "ready", "stopped", "loading", "ready"]

    asyncio.run(live())


def test_a_voice_that_cannot_be_loaded_fails_with_its_reason() -> None:
    class Silent(Talker):
        def load(self) -> Engine:
            raise LoadFailed("The package voice is not installed")

    async def start() -> None:
        backend = Silent(Setup(name="m"))
        with pytest.raises(BackendError, match="not installed"):
            await backend.start()
        assert backend.state == State("failed", "The package voice is not installed")

    asyncio.run(start())


@pytest.mark.parametrize("options", [{"threads": 0}, {"voice": "emma"}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="model m"):
        Talker(Setup(name="m", options=options))
