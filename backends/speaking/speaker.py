"""A backend whose engine makes speech in a process of its own, phrase by phrase."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from audio import WIDTH
from backends import Model, Setup
from backends.errors import OtherKind, Refused
from backends.events import Event, Sound, Usage
from backends.options import read_options
from backends.requests import Request, SpeechRequest
from backends.speaking.engine import Said, Text
from backends.speaking.voices import chosen
from backends.workshop import Resident

Positive: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]

UNREADABLE = "input holds nothing that this model's voices can read: no words and no numbers that they know."


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for such a model."""

    threads: Annotated[
        Positive | None, Meta(description="sentences made at once, by a processor thread each; cores - 1 if absent")
    ] = None

    @property
    def most(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) - 1)


class Speaker(Resident[Said]):
    """What is said leaves as soon as it is made, and no more is made than was asked for.

    All requests share the engine and its threads, phrase by phrase in turn, so that a long text holds up nobody.
    `engine` is the class of the engine, as "module:Class".
    """

    name: str
    engine: str
    model: Model
    slots: int

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine(self.name)
        self.options = read_options(Options, f"model {setup.name}", self.name, setup.options)
        super().__init__(setup, self.engine, Said, slots=self.slots, most=self.options.most)

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Say it, phrase by phrase; closed or canceled, it makes no further one."""
        if not isinstance(request, SpeechRequest):
            raise OtherKind
        text = Text(request.text, chosen(request.voice, self.model.voices), request.speed)
        seconds = 0.0
        with self._quarantine.running(request):
            async with aclosing(self._workshop.ask(text)) as pieces:
                async for said in pieces:
                    if said is not None:
                        seconds += len(said.pcm) / WIDTH / said.rate
                        yield Sound(said.pcm, said.rate, said.ends)
        if not seconds:
            raise Refused(UNREADABLE, param="input")
        yield Usage(prompt=len(request.text), seconds=seconds)
