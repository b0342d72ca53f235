"""The embedded Whisper model, started once a session; tests run in the loop that started it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from audio import Clip, wav
from backends import Setup
from backends.events import Event, Outcome
from backends.faster_whisper import FasterWhisper
from backends.requests import Audio, Request, TranscriptionRequest
from tests.recordings import HOME, WHEELS

PLACES = {"home": str(HOME), **({"wheels": str(WHEELS)} if WHEELS else {})}


def setup(**options: Any) -> Setup:
    given = options or {"weights": "whisper-base"}
    return Setup(name="ears", options={**PLACES, **given}, slots=2)


def heard(sound: bytes, **fields: Any) -> TranscriptionRequest:
    """What a client asks who sends a WAV file."""
    return TranscriptionRequest(model="ears", audio=Audio(sound, "wav", 14_400.0), **fields)


def silence(seconds: float) -> bytes:
    return wav(Clip(bytes(2 * int(seconds * 16_000)), 16_000))


class Running:
    """A started backend and its loop."""

    def __init__(self, runner: asyncio.Runner, backend: FasterWhisper) -> None:
        self.runner = runner
        self.backend = backend

    def answer(self, request: Request) -> Outcome:
        return self.runner.run(Outcome.of(self.backend.run(request)))

    def text(self, request: Request) -> str:
        answers = self.answer(request).answers
        return answers[0].text.strip() if answers else ""

    def events(self, request: Request) -> list[Event]:
        return self.runner.run(gathered(self.backend.run(request)))


async def gathered(events: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in events]


@pytest.fixture(scope="session")
def ears() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        backend = FasterWhisper(setup())
        runner.run(backend.start())
        yield Running(runner, backend)
        runner.run(backend.close())
        assert backend.state.name == "stopped"
