"""One transcription: decoded and cut here, heard in the engine's process, told as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from audio import RATE, WIDTH, Passage, Passages
from backends import media
from backends.errors import Refused, Unsupported
from backends.events import Delta, Event, Finish, Progress, Segment, Usage
from backends.faster_whisper.options import MOST_PROMPT
from backends.faster_whisper.questions import About, Count, Counted, Wanted
from backends.requests import Detection, TranscriptionRequest
from backends.workshop import Workshop

# faster-whisper's own bound: what was guessed with more than this is no prompt for what follows.
UNSURE = 0.5
# Seconds. Passages are long, since the engine hears 30 s at once whatever it is given, and every cut costs a part of
# that; so does a silence that it is spared. It was taught with some of it around what is said.
LONGEST, SHORTEST, SILENCE, AROUND = 300.0, 280.0, 30.0, 1.0
# How often it is told how far a long silence is.
TOLD_EVERY = 60.0


class Listening:
    """One request on its way. `detection` is for requests that bring none."""

    def __init__(
        self,
        engine: Workshop[Segment | Counted],
        about: About,
        request: TranscriptionRequest,
        detection: Detection | None,
    ) -> None:
        self._engine = engine
        self._about = about
        self._request = request
        self._detection = request.detection or detection
        self._language = request.language
        self._said: tuple[int, ...] = ()
        self._written = 0
        self._total = 0.0

    async def events(self) -> AsyncGenerator[Event, None]:
        """All of them. Closing it early ends the engine's work after the window that it is in. Raises BackendError."""
        request = self._request
        self._check()
        passages = Passages(RATE, LONGEST, SHORTEST, silence=SILENCE, kept=AROUND)
        size, told = 0, 0.0
        yield self._progress(told)
        async with aclosing(media.sound(request.audio, "file", self._claimed)) as sound:
            async for pcm in sound:
                size += len(pcm)
                for passage in passages.feed(pcm):
                    async with aclosing(self._heard(passage)) as events:
                        async for event in events:
                            yield event
                if passages.heard - told >= TOLD_EVERY:
                    told = passages.heard
                    yield self._progress(told)
        for passage in passages.finish():
            async with aclosing(self._heard(passage)) as events:
                async for event in events:
                    yield event
        yield Finish("stop")
        yield Usage(prompt=await self._read(), completion=self._written, seconds=round(size / WIDTH / RATE, 3))

    def _check(self) -> None:
        """Raises Refused for a language that the model does not know, Unsupported when it does not translate."""
        language, known = self._request.language, self._about.languages
        if language is not None and language not in known:
            raise Refused(f"language must be one of {', '.join(sorted(known))}.", param="language")
        if self._request.task == "translate" and not self._about.translates:
            raise Unsupported("This model does not translate.", param="model")

    def _claimed(self, seconds: float) -> None:
        self._total = seconds

    def _progress(self, heard: float) -> Progress:
        return Progress(min(1.0, heard / self._total) if self._total else 0.0, f"{heard:.0f} s heard")

    async def _heard(self, passage: Passage) -> AsyncGenerator[Event, None]:
        """What is said in one passage; what was said before it is its prompt."""
        request = self._request
        wanted = Wanted(
            pcm=passage.pcm,
            begin=passage.start,
            language=self._language,
            task=request.task,
            prompt=self._said or request.prompt or None,
            temperature=request.temperature,
            words="word" in request.timestamps,
            detection=self._detection,
        )
        latest = passage.start
        async with aclosing(self._engine.ask(wanted)) as answers:
            async for segment in answers:
                if not isinstance(segment, Segment):
                    yield self._progress(latest)
                    continue
                self._remember(segment)
                latest = min(segment.end, passage.end)
                yield Delta(segment.text)
                yield _until(segment, round(passage.end, 3))

    def _remember(self, segment: Segment) -> None:
        self._language = segment.language
        self._written += len(segment.tokens)
        sure = (segment.temperature or 0.0) <= UNSURE
        self._said = (*self._said, *segment.tokens)[-MOST_PROMPT:] if sure else ()

    async def _read(self) -> int:
        """How many tokens of the prompt the engine reads."""
        if not self._request.prompt.strip():
            return 0
        async with aclosing(self._engine.ask(Count(self._request.prompt))) as answers:
            return sum([answer.tokens async for answer in answers if isinstance(answer, Counted)])


def _until(segment: Segment, end: float) -> Segment:
    """The same within its passage: Whisper always hears 30 seconds, and counts in parts of them."""
    return replace(
        segment,
        start=min(segment.start, end),
        end=min(segment.end, end),
        words=tuple(replace(word, start=min(word.start, end), end=min(word.end, end)) for word in segment.words),
    )
