"""No model at all: says back what it hears. A double for tests, and a load-test target for users.

What it does can be scripted by the model's options, or by `script` in a request's extra fields:

    {"first_delay": 0.1, "delay": 0.02, "chunks": 100, "size": 12, "fail": "late", "after": 3}

sends 100 chunks of 12 characters, the first after 0.1 s, the others 20 ms apart, and breaks after the third.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import chain, repeat
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from backends import KINDS, Model, Setup, State
from backends.errors import EngineFailed, Refused, Unavailable, Unsupported
from backends.events import (
    Alternative,
    Delta,
    Embedding,
    Event,
    Finish,
    Reason,
    Score,
    TokenLogprob,
    Tokens,
    ToolDelta,
    Usage,
)
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    NamedTool,
    Prompt,
    Request,
    Sampling,
    ScoreRequest,
    TokenizeRequest,
)
from backends.stop import StopMatcher

TOKEN = re.compile(r"\s*\S+|\s+\Z")
FLOOD_CHUNK = 1024
DIMENSIONS = 16
SLOTS = 1024
FOREVER = 86_400.0
SHOWN = 100
START, STARTED = 256, "<s>"
LARGEST = 256_000_000
PARAMETERS = frozenset(
    {"temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "max_tokens", "stop", "n", "logprobs"}
    | {"tools", "parallel_tool_calls", "echo", "token_prompts", "dimensions", "script"}
    | {"truncate_prompt_tokens", "continue_final_message"}
)
NonNegative = Annotated[float, Meta(ge=0, le=3600)]
Amount = Annotated[int, Meta(ge=0, le=1_000_000)]


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. Delays in seconds; `size` is characters of a chunk; `after` counts events before the fault.

    `fail`: "early" before the first event, "unavailable" as an engine that is restarting, "late" in the middle.
    `stall`: go silent after `after` events. `flood`: send chunks of 1 kB as fast as they are taken, 256 MB in all.
    """

    first_delay: NonNegative = 0.0
    delay: NonNegative = 0.0
    chunks: Amount | None = None
    size: Annotated[int, Meta(ge=1, le=1_000_000)] = 8
    text: str | None = None
    calls: tuple[ScriptedCall, ...] = ()
    fail: Literal["early", "unavailable", "late"] | None = None
    stall: bool = False
    flood: bool = False
    after: Amount = 0

    def __post_init__(self) -> None:
        if (self.chunks or 0) * self.size > LARGEST:
            raise ValueError(f"chunks times size is more than {LARGEST} characters")


class Options(Script, frozen=True, forbid_unknown_fields=True):
    """The script of requests that bring none; `load` is how many seconds `start` takes."""

    load: NonNegative = 0.0


class Echo:
    """The backend `echo`. One word is one token, but to the tokenizer one byte."""

    model = Model(
        kinds=frozenset(KINDS.values()),
        parameters=PARAMETERS,
        dimensions=DIMENSIONS,
        description="says back what it hears; for tests and load",
    )

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("echo")
        try:
            self.options = msgspec.convert(setup.options, Options)
        except msgspec.ValidationError as error:
            raise ValueError(f"options of the echo model {setup.name}: {error}") from error
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
        for number, event in enumerate(_events(request, script)):
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


def _events(request: Request, script: Script) -> Iterator[Event]:
    match request:
        case ChatRequest():
            script = _chosen(request, script)
            said = script.text if script.text is not None else request.messages[-1].text
            read = sum([len(message.text.split()) for message in request.messages])
            return _answers(_tokens(said, script), request.sampling, script, read)
        case CompletionRequest():
            return _completions(request, script)
        case EmbeddingRequest():
            return _embeddings(request)
        case ScoreRequest():
            return _scores(request)
        case TokenizeRequest():
            return iter((_tokenized(request),))
        case DetokenizeRequest():
            return iter((_detokenized(request),))


def _chosen(request: ChatRequest, script: Script) -> Script:
    """The script with only those calls that the request allows. Raises Unsupported when it asks for others."""
    calls = script.calls if request.parallel_tool_calls is not False else script.calls[:1]
    if request.tools and request.tool_choice == "none":
        calls = ()
    elif request.tools and request.tool_choice != "auto":
        wanted = (
            {request.tool_choice.name}
            if isinstance(request.tool_choice, NamedTool)
            else {tool.name for tool in request.tools}
        )
        calls = tuple(call for call in calls if call.name in wanted)
        if not calls:
            raise Unsupported("The echo model only makes the calls of its script.", param="tool_choice")
    return script if calls == script.calls else msgspec.structs.replace(script, calls=calls)


def _embeddings(request: EmbeddingRequest) -> Iterator[Event]:
    inputs = [_cut(text, request.truncate_prompt_tokens) for text in request.inputs]
    for index, text in enumerate(inputs):
        yield Embedding(_vector(_spoken(text), request.dimensions or DIMENSIONS), index)
    yield Usage(prompt=sum(_length(text) for text in inputs))


def _cut(prompt: Prompt, keep: int | None) -> Prompt:
    if keep is None or keep < 0 or _length(prompt) <= keep:
        return prompt
    return " ".join(prompt.split()[:keep]) if isinstance(prompt, str) else prompt[:keep]


def _scores(request: ScoreRequest) -> Iterator[Event]:
    """The share of a query's words that its document has; what is cut off is the document's end."""
    read = 0
    for index, document in enumerate(request.documents):
        query = request.query(index).lower().split()
        words = document.lower().split()
        if request.truncate_prompt_tokens is not None and request.truncate_prompt_tokens >= 0:
            words = words[: max(0, request.truncate_prompt_tokens - len(query))]
        read += len(query) + len(words)
        yield Score(len(set(query) & set(words)) / max(1, len(set(query))), index)
    yield Usage(prompt=read)


def _tokenized(request: TokenizeRequest) -> Tokens:
    """One byte is one token, and a special one may stand before all."""
    text = request.prompt if isinstance(request.prompt, str) else _written(request.prompt)
    ids = ([START] if request.special else []) + list(text.encode())
    return Tokens(tuple(ids), tuple(map(_shown, ids)) if request.strings else None)


def _written(chat: ChatRequest) -> str:
    """A chat as a template might write it."""
    lines = [f"tools: {', '.join(tool.name for tool in chat.tools)}"] if chat.tools else []
    lines += [f"{message.role}: {message.text}" for message in chat.messages]
    if chat.extra.get("continue_final_message"):
        return "\n".join(lines)
    return "\n".join([*lines, "assistant: " if chat.extra.get("add_generation_prompt", True) else ""])


def _detokenized(request: DetokenizeRequest) -> Tokens:
    if any(not 0 <= token <= START for token in request.tokens):
        raise Refused(f"tokens: token ids go from 0 to {START}.", param="tokens")
    data = b"".join(bytes((token,)) if token < START else STARTED.encode() for token in request.tokens)
    return Tokens(request.tokens, text=data.decode(errors="replace"))


def _shown(token: int) -> str:
    return chr(token) if token < START else STARTED


def _completions(request: CompletionRequest, script: Script) -> Iterator[Event]:
    if request.echo and request.sampling.logprobs is not None:
        raise Unsupported("echo cannot be combined with logprobs.", param="echo")
    total = Usage()
    for number, prompt in enumerate(request.prompts):
        said = _spoken(prompt)
        first = number * request.sampling.n
        if request.echo:
            for index in range(first, first + request.sampling.n):
                yield Delta(said, index)
        tokens = _tokens(script.text if script.text is not None else said, script)
        for event in _answers(tokens, request.sampling, script, _length(prompt), first):
            if isinstance(event, Usage):
                total = Usage(total.prompt + event.prompt, total.completion + event.completion)
            else:
                yield event
    yield total


def _answers(tokens: Iterable[str], sampling: Sampling, script: Script, read: int, first: int = 0) -> Iterator[Event]:
    """Every choice says the same; they come in turns, as from an engine that batches."""
    if sampling.n == 1 and not sampling.stop and sampling.logprobs is None and not script.calls:
        return _one_answer(tokens, sampling.max_tokens, read, first)
    return _several_answers(tokens, sampling, script, read, first)


def _several_answers(
    tokens: Iterable[str], sampling: Sampling, script: Script, read: int, first: int
) -> Iterator[Event]:
    speakers = [_Speaker(index, sampling) for index in range(first, first + sampling.n)]
    if script.calls:
        for speaker in speakers:
            yield from speaker.call(script.calls)
    else:
        for token in tokens:
            for speaker in speakers:
                if speaker.reason is None:
                    yield from speaker.say(token)
            if all(speaker.reason for speaker in speakers):
                break
    for speaker in speakers:
        yield from speaker.finish()
    yield Usage(prompt=read, completion=sum(speaker.spoken for speaker in speakers))


def _one_answer(tokens: Iterable[str], max_tokens: int | None, read: int, index: int) -> Iterator[Event]:
    """The common case without bookkeeping: a load test shall measure the server, not this file."""
    said = 0
    reason: Reason = "stop"
    for token in tokens:
        if said == max_tokens:
            reason = "length"
            break
        said += 1
        yield Delta(token, index)
    yield Finish(reason, index)
    yield Usage(prompt=read, completion=said)


class _Speaker:
    def __init__(self, index: int, sampling: Sampling) -> None:
        self.index = index
        self.sampling = sampling
        self.matcher = StopMatcher(sampling.stop) if sampling.stop else None
        self.spoken = 0
        self.reason: Reason | None = None

    def say(self, token: str) -> Iterator[Delta]:
        if self.sampling.max_tokens is not None and self.spoken >= self.sampling.max_tokens:
            self.reason = "length"
            return
        self.spoken += 1
        text = token
        if self.matcher is not None:
            text, matched = self.matcher.feed(token)
            if matched:
                self.reason, self.matcher = "stop", None
        if text:
            yield Delta(text, self.index, logprobs=self._logprobs(text))

    def call(self, calls: tuple[ScriptedCall, ...]) -> Iterator[Delta]:
        for position, call in enumerate(calls):
            identity = f"call_{hashlib.sha256(f'{self.index}{position}'.encode()).hexdigest()[:24]}"
            yield Delta(index=self.index, tool=ToolDelta(position, identity, call.name))
            for piece in re.findall(r".{1,8}", call.arguments, re.DOTALL):
                self.spoken += 1
                yield Delta(index=self.index, tool=ToolDelta(position, arguments=piece))
        self.reason = "tool_calls"

    def finish(self) -> Iterator[Event]:
        if self.matcher is not None:
            held = self.matcher.flush()
            if held:
                yield Delta(held, self.index, logprobs=self._logprobs(held))
        yield Finish(self.reason or "stop", self.index)

    def _logprobs(self, text: str) -> tuple[TokenLogprob, ...] | None:
        if self.sampling.logprobs is None:
            return None
        data = text.encode()
        return (TokenLogprob(text, 0.0, data, (Alternative(text, 0.0, data),)[: self.sampling.logprobs]),)


def _tokens(said: str, script: Script) -> Iterable[str]:
    if script.flood:
        return chain(repeat("x" * FLOOD_CHUNK, LARGEST // FLOOD_CHUNK), TOKEN.findall(said))
    if script.chunks is not None:
        return (f"{number:<{script.size}}"[: script.size] for number in range(script.chunks))
    tokens: list[str] = TOKEN.findall(said)
    return tokens


def _spoken(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def _length(prompt: Prompt) -> int:
    return len(prompt.split()) if isinstance(prompt, str) else len(prompt)


def _vector(text: str, dimensions: int) -> bytes:
    """A unit vector that depends on every character of the text."""
    digest = hashlib.shake_128(text.encode()).digest(dimensions)
    values = [byte - 127.5 for byte in digest]
    norm = sum(value * value for value in values) ** 0.5
    return array.array("f", (value / norm for value in values)).tobytes()
