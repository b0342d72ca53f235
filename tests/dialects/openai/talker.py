"""A model that speaks at one speed only: a tone of a second for each sentence, in two Sounds."""

from __future__ import annotations

import array
import math
from collections.abc import AsyncGenerator

from backends import Model, Setup, State, Voice
from backends.events import Event, Sound, Usage
from backends.requests import Request, SpeechRequest

RATE = 16_000
HERTZ = 500
HALF = array.array("h", (int(8000 * math.sin(math.tau * HERTZ * step / RATE)) for step in range(RATE // 2))).tobytes()


class Talker:
    """Its voices are nova (OpenAI's name is its own), anna and, where it is told to, nobody's: `voices = false`.

    With `instructions = true` it honours them: whoever whispers is heard half as long.
    """

    def __init__(self, setup: Setup) -> None:
        self.model = Model(
            kinds=frozenset({"speech"}),
            parameters=frozenset({"instructions"} if setup.options.get("instructions") else ()),
            voices=(Voice("anna", ("de",), "clear"), Voice("nova")) if setup.options.get("voices", True) else (),
        )
        self.slots = 8
        self.state = State("ready")
        self.asked: list[SpeechRequest] = []

    async def start(self) -> None:
        pass

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        assert isinstance(request, SpeechRequest)
        self.asked.append(request)
        assert request.speed == 1.0
        for _ in range(request.text.count(".")):
            yield Sound(HALF, RATE)
            if not request.instructions:
                yield Sound(HALF, RATE, ends=True)
        yield Usage(prompt=1, completion=2)

    async def close(self) -> None:
        pass
