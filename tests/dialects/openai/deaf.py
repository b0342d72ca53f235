"""A model that honours no parameter at all."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from backends import Kind, Model, Setup, State
from backends.events import Delta, Event, Finish, Usage
from backends.requests import Request


class Deaf:
    """Answers transcriptions, or chats with the option `chats`, and says "what?"."""

    def __init__(self, setup: Setup) -> None:
        kind: Kind = "chat" if setup.options.get("chats") else "transcription"
        self.model = Model(kinds=frozenset({kind}))
        self.slots = 8
        self.state = State("ready")

    async def start(self) -> None:
        pass

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        yield Delta("what?")
        yield Finish("stop")
        yield Usage()

    async def close(self) -> None:
        pass
