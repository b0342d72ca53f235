"""Speech to text by Whisper-type models: sound is cut at quiet places into what the model hears at once.

Some windows are in the engine together; their words come in order. Sound is decoded no faster than it is heard.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import Struct

import audio
from backends import media
from backends.errors import EngineFailed
from backends.events import Delta, Event, Finish, TokenLogprob, Usage
from backends.requests import Audio, Sampling, TranscriptionRequest
from backends.vllm import outputs, prompts, sampling
from backends.vllm.loaded import Loaded
from backends.vllm.logprobs import entry
from backends.vllm.speech import Speech
from backends.vllm.trouble import translated

AT_ONCE = 8
TIME = re.compile(r"<\|\d+\.\d\d\|>")


class Window(Struct, frozen=True):
    """Sound as 32-bit floats, and when it begins and ends, in seconds."""

    samples: Any
    begin: float
    end: float


async def transcribe(loaded: Loaded, request: TranscriptionRequest) -> AsyncGenerator[Event, None]:
    """The events of a transcription. Closing it early ends the engine's work on all windows."""
    speech = loaded.speech
    assert speech is not None
    speech.check(request)
    language = request.language
    hearings: deque[Hearing] = deque()
    usage = Usage()
    spoken = False
    try:
        async with aclosing(_ended(windows(loaded, speech, request.audio))) as heard:
            async for window in heard:
                if window is not None:
                    language = language or await _language(loaded, speech, window)
                    hearings.append(Hearing(loaded, speech, request, language, window))
                while hearings and (window is None or len(hearings) >= AT_ONCE):
                    hearing = hearings[0]
                    async with aclosing(hearing.events(follows=spoken)) as events:
                        async for event in events:
                            spoken = spoken or (isinstance(event, Delta) and bool(event.text))
                            yield event
                    hearings.popleft()
                    usage = hearing.added(usage)
    finally:
        await asyncio.gather(*(hearing.close() for hearing in hearings))
    yield Finish("stop")
    yield usage


async def windows(loaded: Loaded, speech: Speech, sound: Audio) -> AsyncGenerator[Window, None]:
    """The sound in pieces that the model can hear at once, cut where it is quiet, as vLLM cuts it. Raises Refused."""
    held = bytearray()
    begin = 0
    async with aclosing(media.sound(sound, "file")) as pieces:
        async for piece in pieces:
            held += piece
            while len(held) > speech.window * audio.WIDTH:
                cut = _quiet(loaded, speech, held)
                yield _window(loaded, speech, held[: cut * audio.WIDTH], begin)
                del held[: cut * audio.WIDTH]
                begin += cut
    yield _window(loaded, speech, held, begin)


def _quiet(loaded: Loaded, speech: Speech, held: bytearray) -> int:
    """Where to end a window: at the quietest place near its end, in samples."""
    samples = _samples(loaded, held[: speech.window * audio.WIDTH])
    found = int(loaded.library.find_split_point(samples, speech.window - speech.overlap, speech.window, speech.quiet))
    return found if 0 < found <= speech.window else speech.window


def _window(loaded: Loaded, speech: Speech, pcm: bytearray, begin: int) -> Window:
    samples = _samples(loaded, pcm)
    return Window(samples, begin / speech.rate, (begin + len(samples)) / speech.rate)


def _samples(loaded: Loaded, pcm: bytearray) -> Any:
    numpy = loaded.library.numpy
    return numpy.frombuffer(bytes(pcm), dtype="<i2").astype(numpy.float32) / 32768


async def _ended(given: AsyncGenerator[Window, None]) -> AsyncGenerator[Window | None, None]:
    """The same, with None as the last."""
    async with aclosing(given) as all_of_them:
        async for each in all_of_them:
            yield each
    yield None


async def _rendered(loaded: Loaded, speech: Speech, window: Window, opening: list[int]) -> prompts.Rendered:
    encoder = {"prompt": "", "multi_modal_data": {"audio": (window.samples, speech.rate)}}
    prompt = {"encoder_prompt": encoder, "decoder_prompt": {"prompt_token_ids": opening}}
    with translated(loaded.library, "file"):
        (rendered,) = await loaded.client.renderer.render_cmpl_async([prompt])
    made: prompts.Rendered = rendered
    return made


async def _language(loaded: Loaded, speech: Speech, window: Window) -> str:
    """The language of a window: what the model says first of the tokens of languages."""
    library = loaded.library
    rendered = await _rendered(loaded, speech, window, [speech.marks["startoftranscript"]])
    parameters = library.SamplingParams(
        temperature=0.0,
        max_tokens=1,
        allowed_token_ids=list(speech.languages.values()),
        output_kind=library.RequestOutputKind.DELTA,
    )
    codes = {token: code for code, token in speech.languages.items()}
    async with aclosing(outputs.generated(loaded, outputs.Work(0, rendered, parameters))) as answers:
        async for output in answers:
            for token in output.outputs[0].token_ids:
                return codes[token]
    raise EngineFailed("The engine did not say which language it heard.")


class Hearing:
    """A window that the engine works on, from the beginning on; its events wait until they are asked for."""

    def __init__(
        self, loaded: Loaded, speech: Speech, request: TranscriptionRequest, language: str, window: Window
    ) -> None:
        self._loaded = loaded
        self._speech = speech
        self._request = request
        self._language = language
        self._window = window
        self._read = 0
        self._written = 0
        # A window's tokens fit into the context, and there are no more segments than tokens: it is never full.
        self._ready: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=2 * speech.context + 1)
        self._task = asyncio.create_task(self._hear())

    async def events(self, *, follows: bool) -> AsyncGenerator[Event, None]:
        """What was said; `follows`: there are words before these. Raises what the engine raises."""
        begun = False
        while (event := await self._ready.get()) is not None:
            if isinstance(event, Delta) and not begun:
                between = " " if follows and self._language not in self._speech.unspaced else ""
                begun = bool(event.text.strip())
                event = Delta(between + event.text.lstrip() if begun else "", logprobs=event.logprobs)
                if not begun and not event.logprobs:
                    continue
            yield event
        await self._task

    def added(self, usage: Usage) -> Usage:
        """The usage with this window's."""
        return Usage(
            prompt=usage.prompt + self._read,
            completion=usage.completion + self._written,
            seconds=self._window.end,
        )

    async def close(self) -> None:
        """End the engine's work on it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self) -> None:
        try:
            said = [entry async for entry in self._said()]
            if self._request.timestamps:
                window = self._window
                for segment in self._speech.segments(said, window.begin, window.end, self._language):
                    self._ready.put_nowait(segment)
        finally:
            self._ready.put_nowait(None)

    async def _said(self) -> AsyncGenerator[tuple[int, float], None]:
        """Each token and its log probability, after its text is ready to be sent."""
        loaded, speech, request = self._loaded, self._speech, self._request
        opening = speech.opening(request, self._language)
        self._read = len(opening)
        rendered = await _rendered(loaded, speech, self._window, opening)
        measured = 0 if request.timestamps or request.logprobs else None
        wanted = Sampling(temperature=request.temperature or 0.0, logprobs=measured)
        parameters = sampling.parameters(loaded, wanted, {}, choice=0, room=speech.context - len(opening))
        async with aclosing(outputs.generated(loaded, outputs.Work(0, rendered, parameters))) as answers:
            async for output in answers:
                new = output.outputs[0]
                self._written += len(new.token_ids)
                text = TIME.sub("", new.text)
                sure = self._sure(new) if request.logprobs else None
                if text or sure:
                    self._ready.put_nowait(Delta(text, logprobs=sure))
                for token, position in itertools.zip_longest(new.token_ids, new.logprobs or ()):
                    yield token, position[token].logprob if position else 0.0

    def _sure(self, new: Any) -> tuple[TokenLogprob, ...]:
        """How sure the model is of the tokens of words; those of times and marks do not show."""
        zero, special = self._speech.marks["0.00"], self._speech.special
        return tuple(
            entry(place, token, 0)
            for token, place in zip(new.token_ids, new.logprobs, strict=True)
            if token < zero and token not in special
        )
