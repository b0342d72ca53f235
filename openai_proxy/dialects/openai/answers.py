"""Whole answers, as OpenAI's API shapes them.

Source: https://platform.openai.com/docs/api-reference/chat/object, .../completions/object, .../embeddings/object.
"""

from __future__ import annotations

import codecs
import random
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from backends import events

encode = msgspec.json.Encoder().encode


class CachedTokens(Struct):
    """Details of the prompt's tokens."""

    cached_tokens: int


class ReasoningTokens(Struct):
    """Details of the answer's tokens."""

    reasoning_tokens: int


class Usage(Struct):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class TopLogprob(Struct):
    """A token that could have stood there."""

    token: str
    logprob: float
    bytes: list[int]


class Logprob(Struct):
    """The token that stands there."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class Logprobs(Struct):
    """Log probabilities of a choice's tokens."""

    content: list[Logprob]
    refusal: None = None


class PromptLogprob(Struct):
    """A token that could have stood at a place of the prompt, as vLLM shows it; `rank` is 1 for the likeliest."""

    logprob: float
    rank: int | None
    decoded_token: str


# By token id, place after place; null where nothing precedes.
PromptLogprobs: TypeAlias = list[dict[str, PromptLogprob] | None]


class Function(Struct):
    """A called function."""

    name: str
    arguments: str


class ToolCall(Struct):
    """A call."""

    id: str
    function: Function
    type: str = "function"


class Message(Struct):
    """What the assistant says. `reasoning_content` and `reasoning` hold the same: servers differ in the name."""

    content: str | None
    refusal: None = None
    role: str = "assistant"
    tool_calls: list[ToolCall] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET


class Choice(Struct):
    """One choice of a chat."""

    index: int
    message: Message
    finish_reason: str
    logprobs: Logprobs | None = None


class ChatCompletion(Struct):
    """The answer to a chat."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    object: str = "chat.completion"
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET


PLAIN = (
    b'{"id":"%b","created":%d,"model":%b,"choices":[{"index":0,"message":{"content":%b,"refusal":null,"role":"assistant"},'
    b'"finish_reason":"%b","logprobs":null}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}},'
    b'"object":"chat.completion"}'
)


class LegacyLogprobs(Struct):
    """Log probabilities in the form of legacy completions; `text_offset` counts characters.

    The first token of an echoed prompt has null for both.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class TextChoice(Struct):
    """One choice of a legacy completion."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: LegacyLogprobs | None = None
    prompt_logprobs: PromptLogprobs | UnsetType = UNSET


class Completion(Struct):
    """The answer to a legacy completion."""

    id: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | UnsetType | None = UNSET
    object: str = "text_completion"


def identity(prefix: str) -> str:
    """A new random id. It names an answer and protects nothing, so that a fast generator will do."""
    return f"{prefix}{random.getrandbits(96):024x}"


def usage(counted: events.Usage) -> Usage:
    """Usage in OpenAI's shape."""
    return Usage(
        prompt_tokens=counted.prompt,
        completion_tokens=counted.completion,
        total_tokens=counted.prompt + counted.completion,
        prompt_tokens_details=CachedTokens(counted.cached),
        completion_tokens_details=ReasoningTokens(counted.reasoning),
    )


def logprobs(entries: Sequence[events.TokenLogprob] | None) -> Logprobs | None:
    """Log probabilities in OpenAI's shape; None when they were not asked for."""
    if entries is None:
        return None
    # Every token of an answer has a probability; only an echoed prompt begins with one that has none.
    return Logprobs([Logprob(e.token, e.logprob or 0.0, list(e.data), _top(e)) for e in entries])


def _top(entry: events.TokenLogprob) -> list[TopLogprob]:
    return [TopLogprob(other.token, other.logprob, list(other.data)) for other in entry.top]


def legacy_logprobs(entries: Sequence[events.TokenLogprob] | None, offset: int) -> LegacyLogprobs | None:
    """Log probabilities in the legacy shape; the first token begins at character `offset`."""
    if entries is None:
        return None
    return LegacyLogprobs(
        tokens=[entry.token for entry in entries],
        token_logprobs=[entry.logprob for entry in entries],
        top_logprobs=[_legacy_top(entry) for entry in entries],
        text_offset=[offset + before for before in _offsets(entries)[:-1]],
    )


def text_length(entries: Sequence[events.TokenLogprob]) -> int:
    """Characters that these tokens add to the text."""
    return _offsets(entries)[-1]


def _offsets(entries: Sequence[events.TokenLogprob]) -> list[int]:
    """Where in the text each token begins, and where the last one ends. Tokens may be parts of a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    offsets = [0]
    for entry in entries:
        offsets.append(offsets[-1] + len(decoder.decode(entry.data)))
    return offsets


def _legacy_top(entry: events.TokenLogprob) -> dict[str, float] | None:
    """The likeliest tokens and the one that stands there, which may be one more than were asked for."""
    if entry.logprob is None:
        return None
    return {other.token: other.logprob for other in entry.top} | {entry.token: entry.logprob}


def prompt_logprobs(found: events.PromptLogprobs | None) -> PromptLogprobs | UnsetType:
    """Log probabilities of a prompt in vLLM's shape; absent when they were not asked for."""
    if found is None:
        return UNSET
    return [
        None if place is None else {str(e.token): PromptLogprob(e.logprob, e.rank, e.text) for e in place}
        for place in found.places
    ]


def chat_completed(identity: str, created: int, model: str, outcome: events.Outcome) -> bytes:
    """The answer to a chat, as JSON. One choice that is text only needs no more than its text encoded."""
    counted = outcome.usage
    first = outcome.answers[0] if len(outcome.answers) == 1 else None
    if first is not None and not (first.calls or first.reasoning or first.prompt) and first.logprobs is None:
        return PLAIN % (
            identity.encode(),
            created,
            encode(model),
            encode(first.text),
            (first.reason or "stop").encode(),
            counted.prompt,
            counted.completion,
            counted.prompt + counted.completion,
            counted.cached,
            counted.reasoning,
        )
    choices = [
        Choice(index, _message(answer), answer.reason or "stop", logprobs(answer.logprobs))
        for index, answer in enumerate(outcome.answers)
    ]
    answer = ChatCompletion(identity, created, model, choices, usage(counted))
    if outcome.answers:
        answer.prompt_logprobs = prompt_logprobs(outcome.answers[0].prompt)
    return encode(answer)


def completion_completed(identity: str, created: int, model: str, outcome: events.Outcome) -> bytes:
    """The answer to a legacy completion, as JSON."""
    choices = [
        TextChoice(
            index,
            answer.text,
            answer.reason or "stop",
            legacy_logprobs(answer.logprobs, 0),
            prompt_logprobs(answer.prompt),
        )
        for index, answer in enumerate(outcome.answers)
    ]
    return encode(Completion(identity, created, model, choices, usage(outcome.usage)))


def _message(answer: events.Answer) -> Message:
    said = Message(answer.text if answer.text or not answer.calls else None)
    if answer.calls:
        said.tool_calls = [ToolCall(call.id, Function(call.name, call.arguments)) for call in answer.calls]
    if answer.reasoning:
        said.reasoning_content = said.reasoning = answer.reasoning
    return said


def tool_piece(piece: events.ToolDelta) -> dict[str, Any]:
    """A piece of a tool call as a stream carries it."""
    if piece.id is None:
        return {"index": piece.position, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": piece.arguments}
    return {"index": piece.position, "id": piece.id, "type": "function", "function": function}
