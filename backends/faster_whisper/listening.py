"""One transcription: decoded piece by piece, heard in threads, told as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing

import audio
from backends import media
from backends.errors import Refused, Unavailable, Unsupported
from backends.events import Delta, Event, Finish, Progress, Segment, Usage
from backends.faster_whisper.engine import MOST_PROMPT, Engine, Hearing, Wanted
from backends.faster_whisper.pieces import Piece, cut
from backends.requests import Detection, TranscriptionRequest

# While nothing is said the engine is looked at so often, in seconds, to see whether it goes on.
BEAT = 2.0
# faster-whisper's own bound: what was guessed with more than this is no prompt for what follows.
UNSURE = 0.5


class Listening:
    """One request on its way. `detection` is for requests that bring none."""

    def __init__(
        self, engine: Engine, threads: Executor, request: TranscriptionRequest, detection: Detection | None
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._request = request
        self._detection = request.detection or detection
        self._hearing = Hearing()
        self._language = request.language
        self._said: list[int] = []
        self._written = 0
        self._total = 0.0

    async def events(self) -> AsyncGenerator[Event, None]:
        """All of them. Closing it early ends the engine's work after the window that it is in. Raises BackendError."""
        request = self._request
        self._check()
        self._total = await asyncio.to_thread(audio.claimed_seconds, request.audio.data)
        end = 0.0
        try:
            async with aclosing(cut(media.sound(request.audio, "file"))) as pieces:
                async for piece in pieces:
                    yield self._progress(piece.begin)
                    if piece.pcm:
                        async with aclosing(self._heard(piece)) as events:
                            async for event in events:
                                yield event
                    end = piece.end
        finally:
            self._hearing.stopped = True
        yield Finish("stop")
        read = await asyncio.to_thread(self._engine.tokens, request.prompt)
        yield Usage(prompt=read, completion=self._written, seconds=round(end, 3))

    def _check(self) -> None:
        """Raises Refused for a language that the model does not know, Unsupported when it does not translate."""
        language, known = self._request.language, self._engine.languages
        if language is not None and language not in known:
            raise Refused(f"language must be one of {', '.join(sorted(known))}.", param="language")
        if self._request.task == "translate" and not self._engine.translates:
            raise Unsupported("This model does not translate.", param="model")

    def _progress(self, heard: float) -> Progress:
        return Progress(min(1.0, heard / self._total) if self._total else 0.0, f"{heard:.0f} s heard")

    async def _heard(self, piece: Piece) -> AsyncGenerator[Event, None]:
        """What is said in one piece; what was said before it is its prompt."""
        request = self._request
        wanted = Wanted(
            pcm=piece.pcm,
            begin=piece.start,
            language=self._language,
            task=request.task,
            prompt=self._said or request.prompt or None,
            temperature=request.temperature,
            words="word" in request.timestamps,
            detection=self._detection,
        )
        latest = piece.begin
        async with aclosing(self._steps(self._engine.segments(self._hearing, wanted))) as steps:
            async for segment in steps:
                if segment is None:
                    yield self._progress(latest)
                    continue
                self._remember(segment)
                latest = segment.end
                yield Delta(segment.text)
                yield segment

    def _remember(self, segment: Segment) -> None:
        self._language = segment.language
        self._written += len(segment.tokens)
        sure = (segment.temperature or 0.0) <= UNSURE
        self._said = [*self._said, *segment.tokens][-MOST_PROMPT:] if sure else []

    async def _steps(self, segments: Iterator[Segment]) -> AsyncGenerator[Segment | None, None]:
        """The segments, each made in a thread; None for every look that finds the engine further on without one."""
        loop = asyncio.get_running_loop()
        while True:
            seen = self._hearing.windows
            try:
                step = loop.run_in_executor(self._threads, next, segments, None)
            except RuntimeError as error:  # the threads were ended with the engine
                raise Unavailable("The engine was ended.") from error
            step.add_done_callback(_retrieve)
            while not (await asyncio.wait({step}, timeout=BEAT))[0]:
                if self._hearing.windows != seen:
                    seen = self._hearing.windows
                    yield None
            segment = step.result()
            if segment is None:
                return
            yield segment


def _retrieve(step: asyncio.Future[Segment | None]) -> None:
    """Whoever waited may be gone: then nobody else asks what became of it."""
    if not step.cancelled():
        step.exception()
