"""OpenAI's answers -> events: chunks of streams, whole chats and completions, vectors, scores, tokens, transcripts.

Lenient where servers differ, strict where an answer would be wrong: what cannot be read is Unreadable. Source:
https://platform.openai.com/docs/api-reference/chat/streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

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
from backends.remote.unreadable import Unreadable

T = TypeVar("T")

REASONS: Mapping[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class Cached(Struct, frozen=True):
    """Details of the prompt's tokens."""

    cached_tokens: int | None = None


class Reasoned(Struct, frozen=True):
    """Details of the answer's tokens."""

    reasoning_tokens: int | None = None


class Counted(Struct, frozen=True):
    """Tokens, as a server counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Cached | None = None
    completion_tokens_details: Reasoned | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt=self.prompt_tokens or 0,
            completion=self.completion_tokens or 0,
            cached=(self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0,
            reasoning=(self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0,
        )


class Top(Struct, frozen=True):
    """A token that could have stood there."""

    token: str
    logprob: float = 0.0
    bytes: list[int] | None = None


class Chosen(Top, frozen=True):
    """The token that stands there."""

    top_logprobs: list[Top] = []


class Logprobs(Struct, frozen=True):
    """Log probabilities: of a chat in `content`, of a legacy completion in the lists."""

    content: list[Chosen] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class Function(Struct, frozen=True):
    """A called function, or a piece of it."""

    name: str | None = None
    arguments: str | None = None


class ToolPiece(Struct, frozen=True):
    """A call, or a piece of it."""

    index: int | None = None
    id: str | None = None
    function: Function = Function()


class Said(Struct, frozen=True):
    """What an assistant says: a delta, or a whole message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolPiece] | None = None


class Choice(Struct, frozen=True):
    """A choice of a chat or a completion, or a piece of it."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    text: str | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    prompt_logprobs: list[dict[str, dict[str, Any]] | None] | None = None


class Chunk(Struct, frozen=True):
    """A chunk of a stream, or a whole answer."""

    choices: list[Choice] = field(default_factory=list)
    usage: Counted | None = None
    prompt_logprobs: list[dict[str, dict[str, Any]] | None] | None = None


def reader(kind: type[T]) -> Callable[[bytes], T]:
    """Reads JSON of a server's. Raises Unreadable for what is not of that form."""
    decoder = msgspec.json.Decoder(kind)

    def read(data: bytes) -> T:
        try:
            return decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable from error

    return read


read_chunk = reader(Chunk)


def events_of(data: bytes) -> Iterator[Event]:
    """The events of one chunk, or of a whole answer; not its usage."""
    chunk = read_chunk(data)
    for choice in chunk.choices:
        places = choice.prompt_logprobs or (chunk.prompt_logprobs if choice.index == 0 else None)
        if places is not None:
            yield PromptLogprobs(tuple(map(_place, places)), choice.index)
        yield from _deltas(choice)
        if choice.finish_reason is not None:
            yield Finish(REASONS.get(choice.finish_reason, "stop"), choice.index)


def _deltas(choice: Choice) -> Iterator[Delta]:
    said = choice.delta or choice.message or Said()
    text = said.content or choice.text or ""
    reasoning = said.reasoning_content or said.reasoning or ""
    logprobs = None if choice.logprobs is None else _logprobs(choice.logprobs)
    if text or reasoning or logprobs:
        yield Delta(text, choice.index, reasoning, logprobs=logprobs)
    for position, piece in enumerate(said.tool_calls or ()):
        function = piece.function
        place = position if piece.index is None else piece.index
        yield Delta("", choice.index, tool=ToolDelta(place, piece.id, function.name, function.arguments or ""))


def _logprobs(given: Logprobs) -> tuple[TokenLogprob, ...]:
    if given.content is not None:
        return tuple(
            TokenLogprob(each.token, each.logprob, _bytes(each), tuple(map(_alternative, each.top_logprobs)))
            for each in given.content
        )
    tops = given.top_logprobs or [None] * len(given.tokens or ())
    return tuple(
        TokenLogprob(token, logprob, token.encode(), tuple(_legacy_alternatives(top)))
        for token, logprob, top in zip(given.tokens or (), given.token_logprobs, tops, strict=False)
    )


def _legacy_alternatives(top: Mapping[str, float] | None) -> Iterator[Alternative]:
    for token, logprob in (top or {}).items():
        yield Alternative(token, logprob, token.encode())


def _alternative(top: Top) -> Alternative:
    return Alternative(top.token, top.logprob, _bytes(top))


def _bytes(top: Top) -> bytes:
    return top.token.encode() if top.bytes is None else bytes(top.bytes)


def _place(place: Mapping[str, Mapping[str, Any]] | None) -> tuple[Candidate, ...] | None:
    if place is None:
        return None
    return tuple(
        Candidate(int(token), found["logprob"], found.get("rank"), found.get("decoded_token") or "")
        for token, found in place.items()
    )
