"""A backend that speaks, whose engine says one second for every word."""

from __future__ import annotations

from collections.abc import Generator

from backends import Backend, Model, Voice
from backends.errors import LoadFailed
from backends.events import Event, Sound
from backends.requests import SpeechRequest
from backends.speaking import Engine, Phrase, Speaker

RATE = 8000
SECOND = b"\x10\x20\x10\xe0" * (RATE // 2)


class Words(Engine):
    """Its speed goes from a half to 2."""

    rate = RATE
    slowest = 0.5

    def say(self, text: str, voice: str, speed: float) -> Generator[Phrase, None, None]:
        for _ in text.split():
            yield Phrase(SECOND[: 2 * round(RATE / speed)], ends=True)


class Mute(Words):
    def __init__(self) -> None:
        raise LoadFailed("The package voice is not installed")


class Talker(Speaker):
    name = "talker"
    engine = "tests.backends.speaking.talking:Words"
    slots = 4
    model = Model(kinds=frozenset({"speech"}), parameters=frozenset({"speed"}), voices=(Voice("one"), Voice("two")))


class Silent(Talker):
    engine = "tests.backends.speaking.talking:Mute"


async def events(backend: Backend, text: str, voice: str | None = None, speed: float = 1.0) -> list[Event]:
    request = SpeechRequest(model="m", text=text, voice=voice, speed=speed)
    return [event async for event in backend.run(request)]


def seconds(found: list[Event]) -> float:
    return sum(len(event.data) / 2 / event.rate for event in found if isinstance(event, Sound))
