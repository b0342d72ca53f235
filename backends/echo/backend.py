"""The backend `echo`: a request goes in, what its script says comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import msgspec
from msgspec import structs

from backends import KINDS, Model, Setup, State
from backends.echo import answers, drawing, hearing, reading, speaking
from backends.echo.reading import DIMENSIONS
from backends.echo.script import Options, Script
from backends.errors import EngineFailed, Refused, Unavailable
from backends.events import Event
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    ScoreRequest,
    SpeechRequest,
    TokenizeRequest,
    TranscriptionRequest,
)

SLOTS = 1024
FOREVER = 86_400.0
SHOWN = 100
PARAMETERS = frozenset(
    {"temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "max_tokens", "stop", "n", "logprobs"}
    | {"tools", "parallel_tool_calls", "echo", "prompt_logprobs", "token_prompts", "dimensions", "script"}
    | {"truncate_prompt_tokens", "continue_final_message"}
    | {"language", "prompt", "temperature", "translate", "segment_timestamps", "speed"}
    | {"edit", "vary", "images", "mask", "effort", "steps", "guidance", "strength", "negative_prompt", "style"}
    | {"transparent", "partial"}
)


class Echo:
    """The backend `echo`. One word is one token, but to the tokenizer one byte."""

    shareable = True
    model = Model(
        kinds=frozenset(KINDS.values()),
        parameters=PARAMETERS,
        dimensions=DIMENSIONS,
        voices=speaking.VOICES,
        sizes=drawing.SIZES,
        steps=drawing.STEPS,
        description="says back what it hears; for tests and load",
    )

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("echo")
        try:
            self.options = msgspec.convert(setup.options, Options)
        except msgspec.ValidationError as error:
            raise ValueError(f"options of the echo model {setup.name}: {error}") from error
        self.model = structs.replace(self.model, modalities=self.options.modalities)
        self.slots = setup.slots or SLOTS
        self._changed = setup.changed
        self._state = State("stopped")

    @property
    def state(self) -> State:
        return self._state

    async def start(self) -> None:
        self._become(State("loading", fraction=0.0))
        await asyncio.sleep(self.options.load)
        self._become(State("ready"))

    async def close(self) -> None:
        self._become(State("stopped"))

    def _become(self, state: State) -> None:
        self._state = state
        self._changed()

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        if self._state.name != "ready":
            raise Unavailable
        script = self._script(request) if "script" in request.extra else self.options
        faulty = script.stall or script.fail is not None
        delay = script.first_delay
        for number, event in enumerate(await _events(request, script)):
            if faulty:
                delay = _faulted(script, number, delay)
            if delay or script.flood:
                await asyncio.sleep(delay)
            yield event
            delay = script.delay

    def _script(self, request: Request) -> Script:
        try:
            return msgspec.convert(request.extra["script"], Script)
        except msgspec.ValidationError as error:
            raise Refused(f"script: {str(error)[:SHOWN]}", param="script") from error


def _faulted(script: Script, number: int, delay: float) -> float:
    """How long to wait before an event, if its fault is that; raises what else is to go wrong there."""
    if script.fail == "unavailable":
        raise Unavailable
    if script.fail == "early" or (script.fail == "late" and number == script.after):
        raise EngineFailed
    return FOREVER if script.stall and number == script.after else delay


async def _events(request: Request, script: Script) -> Iterator[Event]:
    match request:
        case ChatRequest():
            return answers.chat(await hearing.described(request), script)
        case CompletionRequest():
            return answers.completions(request, script)
        case EmbeddingRequest():
            return reading.embeddings(request)
        case ScoreRequest():
            return reading.scores(request)
        case TokenizeRequest():
            return await _tokenized(request)
        case DetokenizeRequest():
            return iter((reading.detokenized(request),))
        case TranscriptionRequest():
            return hearing.transcription(request, script, await hearing.length(request.audio))
        case SpeechRequest():
            return speaking.speech(request, script)
        case ImageRequest():
            return await drawing.pictures(request)


async def _tokenized(request: TokenizeRequest) -> Iterator[Event]:
    if isinstance(request.prompt, ChatRequest):
        request = structs.replace(request, prompt=await hearing.described(request.prompt))
    return iter((reading.tokenized(request),))
