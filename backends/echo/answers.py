"""What the echo model says: the prompt again, or what its script has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

from msgspec import structs

from backends.echo.reading import length, spoken
from backends.echo.script import LARGEST, Script, ScriptedCall
from backends.errors import Unsupported
from backends.events import (
    Alternative,
    Candidate,
    Delta,
    Event,
    Finish,
    PromptLogprobs,
    Reason,
    TokenLogprob,
    ToolDelta,
    Usage,
)
from backends.requests import ChatRequest, CompletionRequest, NamedTool, Sampling
from backends.stop import StopMatcher

TOKEN = re.compile(r"\s*\S+|\s+\Z")
FLOOD_CHUNK = 1024


def chat(request: ChatRequest, script: Script) -> Iterator[Event]:
    """The events of a chat: the last message again, or the one before it where the answer continues the last."""
    script = _chosen(request, script)
    keep = request.extra.get("truncate_prompt_tokens")
    continues = request.extra.get("continue_final_message") and len(request.messages) > 1
    said = _end(request.messages[-2 if continues else -1].text, keep) if script.text is None else script.text
    read = sum([len(message.text.split()) for message in request.messages])
    if keep is not None and keep >= 0:
        read = min(read, keep)
    answers = _answers(tokens(said, script), request.sampling, script, read)
    if request.sampling.prompt_logprobs is None:
        return answers
    heard = _end(" ".join(message.text for message in request.messages), keep)
    return chain([PromptLogprobs(_places(TOKEN.findall(heard)))], answers)


def _end(text: str, keep: int | None) -> str:
    """The last words of a text that is to be cut; -1 cuts nothing, as this model takes prompts of any length."""
    if keep is None or keep < 0:
        return text
    words: list[str] = TOKEN.findall(text)
    return "".join(words[-keep:]).lstrip() if len(words) > keep else text


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
    return script if calls == script.calls else structs.replace(script, calls=calls)


def completions(request: CompletionRequest, script: Script) -> Iterator[Event]:
    """The events of a completion request: each prompt again."""
    total = Usage()
    for number, prompt in enumerate(request.prompts):
        said = _end(spoken(prompt), request.extra.get("truncate_prompt_tokens"))
        first = number * request.sampling.n
        for index in range(first, first + request.sampling.n):
            if request.sampling.prompt_logprobs is not None:
                yield PromptLogprobs(_places(TOKEN.findall(said)), index)
            if request.echo:
                yield Delta(said, index, logprobs=_heard(said, request.sampling.logprobs))
        words = tokens(script.text if script.text is not None else said, script)
        for event in _answers(words, request.sampling, script, length(said), first):
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
        return (_certain(text, self.sampling.logprobs),)


def _places(tokens: list[str]) -> tuple[tuple[Candidate, ...] | None, ...]:
    """Every word of a prompt was certain, and has its place in the prompt as its id."""
    return tuple((Candidate(number, 0.0, 1, text),) if number else None for number, text in enumerate(tokens))


def _heard(said: str, alternatives: int | None) -> tuple[TokenLogprob, ...] | None:
    if alternatives is None:
        return None
    words: list[str] = TOKEN.findall(said)
    return tuple(_certain(word, alternatives) if number else _first(word) for number, word in enumerate(words))


def _first(text: str) -> TokenLogprob:
    return TokenLogprob(text, None, text.encode())


def _certain(text: str, alternatives: int) -> TokenLogprob:
    data = text.encode()
    return TokenLogprob(text, 0.0, data, (Alternative(text, 0.0, data),)[:alternatives])


def tokens(said: str, script: Script) -> Iterable[str]:
    """The words of a text, or what the script has in their place."""
    if script.flood:
        return chain(repeat("x" * FLOOD_CHUNK, LARGEST // FLOOD_CHUNK), TOKEN.findall(said))
    if script.chunks is not None:
        return (f"{number:<{script.size}}"[: script.size] for number in range(script.chunks))
    words: list[str] = TOKEN.findall(said)
    return words
