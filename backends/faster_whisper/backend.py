"""The backend `faster_whisper`: one model in one process, a few threads there, one door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from msgspec import structs

from backends import Model, Setup, apart
from backends.errors import OtherKind
from backends.events import Event, Segment
from backends.faster_whisper.listening import Listening
from backends.faster_whisper.options import SLOTS, Options
from backends.faster_whisper.questions import About, Counted
from backends.fetching import fetched
from backends.requests import Detection, Request, TranscriptionRequest
from backends.weights import DESCRIPTIONS
from backends.workshop import Resident

PARAMETERS = frozenset(
    {"language", "prompt", "temperature", "translate", "segment_timestamps", "word_timestamps", "server_vad"}
)


class FasterWhisper(Resident[Segment | Counted]):
    """A Whisper model that CTranslate2 converted. Options: `backends.faster_whisper.options.Options`."""

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("faster_whisper")
        self.options = Options.read(setup.name, setup.options)
        super().__init__(setup, "backends.faster_whisper.engine:Engine", Segment | Counted, slots=SLOTS)
        self.model = Model(
            kinds=frozenset({"transcription"}),
            parameters=PARAMETERS,
            description=DESCRIPTIONS.get(self.options.weights or "", ""),
        )
        self._detection = Detection(normalised=True) if self.options.vad else None

    async def start(self) -> None:
        """Fetch weights that are not there yet and load them. Raises LoadFailed or OSError."""
        folder, _ = await asyncio.gather(self._folder(), asyncio.to_thread(apart.warm))
        await self._workshop.start(self._settings(folder))
        translates = self._workshop.about(About).translates
        self.model = structs.replace(self.model, parameters=PARAMETERS if translates else PARAMETERS - {"translate"})

    async def _folder(self) -> Path:
        """Where the model lies, fetched if it is not there. Raises OSError."""
        options = self.options
        if options.path is not None:
            return Path(options.path)
        return (await fetched(options.weights or "", options.home, options.wheels, self._life)).parent

    def _settings(self, folder: Path) -> dict[str, Any]:
        """What the engine is built from."""
        options = self.options
        return {
            "folder": os.path.expanduser(folder),
            "device": options.device,
            "compute_type": options.compute_type,
            "threads": options.cores,
            "workers": options.workers(self.slots),
            "beam_size": options.beam_size,
        }

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; closing it early ends the engine's work on it."""
        if not isinstance(request, TranscriptionRequest):
            raise OtherKind
        listening = Listening(self._workshop, self._workshop.about(About), request, self._detection)
        with self._quarantine.running(request):
            async with aclosing(listening.events()) as events:
                async for event in events:
                    yield event
