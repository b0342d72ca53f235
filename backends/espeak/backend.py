"""The backend `espeak`: one process a sentence, at most as many at once as there are slots."""

from __future__ import annotations

import asyncio
import shutil
import unicodedata
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Annotated

from msgspec import Meta, Struct, structs

import audio
from audio import Clip
from backends import Lack, Model, Setup, State, Voice
from backends.errors import LoadFailed, OtherKind, Refused, Unavailable, Unsupported
from backends.espeak import program
from backends.espeak.table import voices
from backends.events import Event, Sound, Usage
from backends.life import Life
from backends.options import read_options
from backends.requests import Request, SpeechRequest
from backends.speaking.voices import chosen

SLOTS = 4
WORDS = 175  # a minute, at speed 1
# Beyond these it does not do what it is told: the rest is stretched.
SLOWEST, FASTEST = 0.5, 1.5
SYMBOLS = ("So", "Sm", "Sc")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for an espeak model."""

    program: Annotated[str, Meta(min_length=1, description="the program, by its name or path")] = "espeak-ng"
    voice: Annotated[str, Meta(min_length=1, description="the voice of requests that name none")] = "en-us"


class Espeak:
    """espeak-ng, which the user has installed. Its voices are known once it was started."""

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("espeak")
        self.options = read_options(Options, f"model {setup.name}", "espeak", setup.options)
        self.slots = setup.slots or SLOTS
        self.model = Model(
            kinds=frozenset({"speech"}),
            parameters=frozenset({"speed"}),
            description="espeak-ng: many languages, plainly a machine's voice",
        )
        self._life = Life(setup.changed)
        self._voices: Mapping[str, str] = {}
        self._room = asyncio.Semaphore(self.slots)

    @staticmethod
    def lacking(setup: Setup) -> Iterator[Lack]:
        """The program, where it is not installed."""
        options = read_options(Options, f"model {setup.name}", "espeak", setup.options)
        if shutil.which(options.program) is None:
            yield Lack(("options", "program"), f"model {setup.name}: {_absent(options.program)}")

    @property
    def state(self) -> State:
        return self._life.state

    async def start(self) -> None:
        """Ask it for its voices. Raises BackendError or OSError."""
        with self._life.trying("asking espeak-ng for its voices"):
            found = await self._found()
        self._voices = {voice.name: file for file, voice in found.items()}
        self.model = structs.replace(self.model, voices=tuple(found.values()))
        self._life.become(State("ready"))

    async def _found(self) -> dict[str, Voice]:
        if shutil.which(self.options.program) is None:
            raise LoadFailed(_absent(self.options.program))
        found = voices(await program.listed(self.options.program), self.options.voice)
        if self.options.voice not in {voice.name for voice in found.values()}:
            raise LoadFailed(f"{self.options.program} has no voice {self.options.voice}.")
        return found

    async def close(self) -> None:
        self._life.become(State("stopped"))

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Say it, sentence by sentence; closed or canceled, its process is killed."""
        if not isinstance(request, SpeechRequest):
            raise OtherKind
        if self.state.name != "ready":
            raise Unavailable
        file = self._voices[chosen(request.voice, self.model.voices)]
        seconds = 0.0
        for sentence in audio.sentences(request.text):
            if _speakable(sentence):
                clip = await self._said(file, sentence, request.speed)
                seconds += clip.seconds
                yield Sound(clip.pcm, clip.rate, ends=True)
        if not seconds:
            raise Refused("input holds nothing to say: no letters, no digits and no symbols.", param="input")
        yield Usage(prompt=len(request.text), seconds=seconds)

    async def _said(self, file: str, sentence: str, speed: float) -> Clip:
        own = min(max(speed, SLOWEST), FASTEST)
        async with self._room:
            try:
                clip = await program.said(self.options.program, file, round(WORDS * own), sentence)
            except OSError as error:
                raise Unavailable(f"The program {self.options.program} cannot be run.") from error
        if own == speed:
            return clip
        try:
            return await asyncio.to_thread(audio.stretched, clip, speed / own)
        except ImportError as error:
            raise Unsupported("This server was installed without its extra 'audio'.", param="speed") from error


def _speakable(text: str) -> bool:
    return any(sign.isalnum() or unicodedata.category(sign) in SYMBOLS for sign in text)


def _absent(name: str) -> str:
    return f"the program {name} is not there; it is installed by the system's package manager (apt install espeak-ng)"
