"""A backend that speaks, whose engine says one second for every word when it is let."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

from backends import Backend, Model, Setup, Voice
from backends.events import Event, Sound
from backends.requests import SpeechRequest
from backends.speaking import Engine, Said, Speaker

RATE = 8000
SECOND = b"\x10\x20\x10\xe0" * (RATE // 2)


class Words:
    """`made` are the words that were said; before each it waits for `allowed`."""

    rate = RATE

    def __init__(self) -> None:
        self.made: list[str] = []
        self.speeds: list[float] = []
        self.closed = 0
        self.allowed = threading.Semaphore(1000)
        self.asked = threading.Event()
        self.at_once = self.most = 0

    def say(self, text: str, voice: str, speed: float) -> Generator[Said, None, None]:
        self.speeds.append(speed)
        try:
            for word in text.split():
                self.asked.set()
                self.at_once += 1
                self.most = max(self.most, self.at_once)
                allowed = self.allowed.acquire(timeout=30)
                self.at_once -= 1
                assert allowed
                self.made.append(word)
                yield Said(SECOND[: 2 * round(RATE / speed)], ends=True)
        finally:
            self.closed += 1


class Talker(Speaker):
    name = "talker"
    slots = 4
    model = Model(kinds=frozenset({"speech"}), parameters=frozenset({"speed"}), voices=(Voice("one"), Voice("two")))

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.words = Words()

    def load(self) -> Engine:
        return self.words


def talker(**options: Any) -> Talker:
    return Talker(Setup(name="m", options=options))


async def events(backend: Backend, text: str, voice: str | None = None, speed: float = 1.0) -> list[Event]:
    request = SpeechRequest(model="m", text=text, voice=voice, speed=speed)
    return [event async for event in backend.run(request)]


def seconds(found: list[Event]) -> float:
    return sum(len(event.data) / 2 / event.rate for event in found if isinstance(event, Sound))


async def soon(condition: Any) -> None:
    """Wait until it is true, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
