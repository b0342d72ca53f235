"""What every backend does that speaks; that no more is made than was asked for is tested with the workshop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from backends import Setup, State
from backends.errors import BackendError, OtherKind, Refused, Unavailable
from backends.events import Event, Sound, Usage
from backends.requests import ChatRequest, SpeechRequest
from tests.backends.speaking.talking import RATE, Silent, Talker, events, seconds


class Talking:
    """A started backend and its loop."""

    def __init__(self, runner: asyncio.Runner, backend: Talker) -> None:
        self.runner = runner
        self.backend = backend

    def say(self, text: str, voice: str | None = None, speed: float = 1.0) -> list[Event]:
        return self.runner.run(events(self.backend, text, voice, speed))


@pytest.fixture(scope="module")
def talker() -> Iterator[Talking]:
    with asyncio.Runner() as runner:
        backend = Talker(Setup(name="m"))
        runner.run(backend.start())
        yield Talking(runner, backend)
        runner.run(backend.close())


def test_a_sound_for_each_phrase_and_what_it_cost(talker: Talking) -> None:
    *sounds, usage = talker.say("one two three")
    assert [type(event) for event in sounds] == [Sound, Sound, Sound]
    assert {sound.rate for sound in sounds if isinstance(sound, Sound)} == {RATE}
    assert usage == Usage(prompt=13, seconds=3.0)


def test_whoever_leaves_is_in_nobodys_way(talker: Talking) -> None:
    async def leave() -> None:
        for _ in range(3):
            async with aclosing(talker.backend.run(SpeechRequest(model="m", text="one " * 4096))) as stream:
                assert isinstance(await anext(stream), Sound)

    talker.runner.run(leave())
    assert len(talker.say("one")) == 2


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 2.0, 3.0, 4.0])
def test_speed_beyond_the_engines_is_stretched(talker: Talking, speed: float) -> None:
    found = talker.say("one two three", speed=speed)
    # The engine says what it says faster, but no longer than a second when it is slower.
    engine = 3 / min(2.0, max(1.0, speed))
    own = min(2.0, max(0.5, speed))
    assert seconds(found) == pytest.approx(engine * own / speed, rel=0.05)
    assert isinstance(found[-1], Usage)
    assert found[-1].seconds == pytest.approx(seconds(found))


def test_voices_are_checked(talker: Talking) -> None:
    assert talker.say("one", voice="two")
    with pytest.raises(Refused, match="known are one, two") as refused:
        talker.say("one", voice="alloy")
    assert refused.value.param == "voice"


def test_what_cannot_be_read_is_refused_and_never_empty(talker: Talking) -> None:
    with pytest.raises(Refused, match=r"^input holds nothing") as refused:
        talker.say("  ")
    assert refused.value.param == "input"
    with pytest.raises(OtherKind):
        talker.runner.run(anext(talker.backend.run(ChatRequest(model="m", messages=()))))


def test_its_life() -> None:
    async def live() -> None:
        states: list[State] = []
        backend = Talker(Setup(name="m", changed=lambda: states.append(backend.state)))
        await backend.start()
        assert backend.pid
        await backend.close()
        await backend.close()
        with pytest.raises(Unavailable):
            await events(backend, "one")
        await backend.start()
        assert await events(backend, "one")
        await backend.close()
        assert [state.name for state in states] == ["loading", "ready", "stopped", "loading", "ready", "stopped"]

    asyncio.run(live())


def test_a_voice_that_cannot_be_loaded_fails_with_its_reason() -> None:
    async def start() -> None:
        backend = Silent(Setup(name="m"))
        with pytest.raises(BackendError, match="not installed"):
            await backend.start()
        assert backend.state.name == "failed"
        assert backend.state.note.endswith("The package voice is not installed")

    asyncio.run(start())


@pytest.mark.parametrize("options", [{"threads": 0}, {"voice": "emma"}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="model m"):
        Talker(Setup(name="m", options=options))
