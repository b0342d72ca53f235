"""A backend whose engine makes speech in threads of this process, phrase by phrase."""

from __future__ import annotations

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, NamedTuple, Protocol, TypeAlias

from msgspec import Meta, Struct

from audio import WIDTH, Stretcher
from backends import Model, Setup, State, telemetry
from backends.errors import OtherKind, Refused, Unavailable, Unsupported
from backends.events import Event, Sound, Usage
from backends.options import read_options
from backends.requests import Request, SpeechRequest
from backends.speaking.voices import chosen

Positive: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]

# Beyond this an engine skips sounds, or says them no faster: the rest is stretched.
SLOWEST, FASTEST = 0.25, 2.0
UNREADABLE = "input holds nothing that this model's voices can read: no words and no numbers that they know."


class Said(NamedTuple):
    """16-bit mono PCM; a sentence `ends` with it."""

    pcm: bytes
    ends: bool


class Engine(Protocol):
    """A loaded engine; several threads call it. `rate` is in samples a second."""

    rate: int

    def say(self, text: str, voice: str, speed: float) -> Generator[Said, None, None]:
        """What is said, each piece made when it is asked for; nothing for text that cannot be read."""


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for such a model."""

    threads: Annotated[
        Positive | None, Meta(description="sentences made at once, by a processor thread each; cores - 1 if absent")
    ] = None

    @property
    def most(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) - 1)


def stretched(said: Iterator[Said], rate: int, speed: float) -> Generator[Said, None, None]:
    """The same at another speed; nothing of a sentence is left for the next. Raises ImportError without `av`."""
    Stretcher(rate, speed)

    def pieces() -> Generator[Said, None, None]:
        stretcher = Stretcher(rate, speed)
        for pcm, ends in said:
            faster = stretcher.feed(pcm)
            if ends:
                faster += stretcher.finish()
                stretcher = Stretcher(rate, speed)
            yield Said(faster, ends)

    return pieces()


class Speaker(ABC):
    """What is said leaves as soon as it is made, and no more is made than was asked for.

    All requests share the engine and its threads, phrase by phrase in turn, so that a long text holds up nobody.
    """

    name: str
    model: Model
    slots: int
    slowest = SLOWEST

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine(self.name)
        self.options = read_options(Options, f"model {setup.name}", self.name, setup.options)
        self.slots = setup.slots or self.slots
        self._changed = setup.changed
        self._state = State("stopped")
        self._engine: Engine | None = None
        self._threads: ThreadPoolExecutor | None = None

    @abstractmethod
    def load(self) -> Engine:
        """Load and warm up; called in a thread. Raises LoadFailed or OSError."""

    @property
    def state(self) -> State:
        return self._state

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._changed()

    async def start(self) -> None:
        """Load in a thread of its own."""
        self._become(State("loading", "loading the voices"))
        try:
            telemetry.switch_off()
            engine = await asyncio.to_thread(self.load)
        except BaseException as error:
            self._become(State("failed", str(error)) if isinstance(error, Exception) else State("stopped"))
            raise
        self._engine = engine
        self._threads = ThreadPoolExecutor(min(self.options.most, self.slots), thread_name_prefix=self.name)
        self._become(State("ready"))

    async def close(self) -> None:
        """Forget the engine; the phrases under way come to their end first."""
        self._engine, threads, self._threads = None, self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        self._become(State("stopped"))

    def _said(self, engine: Engine, request: SpeechRequest, voice: str) -> Generator[Said, None, None]:
        """At the request's speed, by the engine as far as it goes. Raises Unsupported."""
        speed = min(max(request.speed, self.slowest), FASTEST)
        said = engine.say(request.text, voice, speed)
        if speed == request.speed:
            return said
        try:
            return stretched(said, engine.rate, request.speed / speed)
        except ImportError as error:
            raise Unsupported("This server was installed without its extra 'audio'.", param="speed") from error

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Say it, phrase by phrase; closed or canceled, it makes no further one."""
        if not isinstance(request, SpeechRequest):
            raise OtherKind
        engine, threads = self._engine, self._threads
        if engine is None or threads is None:
            raise Unavailable
        voice = chosen(request.voice, self.model.voices)
        loop = asyncio.get_running_loop()
        said, done = self._said(engine, request, voice), 0
        try:
            while (piece := await loop.run_in_executor(threads, next, said, None)) is not None:
                done += len(piece.pcm)
                yield Sound(piece.pcm, engine.rate, piece.ends)
        finally:
            with contextlib.suppress(ValueError):  # its thread is in it: it ends when that is done
                said.close()
        if not done:
            raise Refused(UNREADABLE, param="input")
        yield Usage(prompt=len(request.text), seconds=done / WIDTH / engine.rate)
