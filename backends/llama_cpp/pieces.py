"""The engine's stream events, chat or native, as pieces of one choice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from backends.choices.piece import Piece
from backends.events import Alternative, Reason, TokenLogprob, ToolDelta
from backends.llama_cpp.client import Client, Problem, decode, fail


class _Token(Struct, frozen=True):
    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] = ()
    top_logprobs: tuple[_Token, ...] = ()


class _Timings(Struct, frozen=True):
    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str = ""


class _ToolCall(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_ToolCall, ...] = ()


class _Logprobs(Struct, frozen=True):
    content: tuple[_Token, ...] = ()


class _Choice(Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chat(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    timings: _Timings | None = None
    error: Problem | None = None


class _Native(Struct, frozen=True):
    content: str = ""
    stop: bool = False
    stop_type: str = "none"
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    timings: _Timings | None = None
    completion_probabilities: tuple[_Token, ...] = ()
    error: Problem | None = None


async def chat(client: Client, body: Mapping[str, Any], alternatives: int) -> AsyncGenerator[Piece, None]:
    """The pieces of a streamed /v1/chat/completions; each token keeps `alternatives` alternatives."""
    async with aclosing(client.stream("/v1/chat/completions", body)) as events:
        async for event in events:
            chunk = decode(event, _Chat)
            if chunk.error is not None:
                fail(chunk.error)
            yield _of_chat(chunk, alternatives)


async def native(client: Client, body: Mapping[str, Any], alternatives: int) -> AsyncGenerator[Piece, None]:
    """The pieces of a streamed /completion."""
    async with aclosing(client.stream("/completion", body)) as events:
        async for event in events:
            chunk = decode(event, _Native)
            if chunk.error is not None:
                fail(chunk.error)
            yield Piece(
                text=chunk.content,
                logprobs=_tokens(chunk.completion_probabilities, alternatives),
                reason=_native_reason(chunk),
                prompt=chunk.tokens_evaluated,
                cached=chunk.timings.cache_n if chunk.timings else 0,
                written=chunk.tokens_predicted,
            )


def _of_chat(chunk: _Chat, alternatives: int) -> Piece:
    choice = chunk.choices[0] if chunk.choices else _Choice()
    timings = chunk.timings or _Timings()
    return Piece(
        text=choice.delta.content or "",
        reasoning=choice.delta.reasoning_content or "",
        tools=tuple(
            ToolDelta(call.index, call.id, call.function.name, call.function.arguments)
            for call in choice.delta.tool_calls
        ),
        logprobs=_tokens(choice.logprobs.content, alternatives) if choice.logprobs else (),
        reason=REASONS[choice.finish_reason] if choice.finish_reason else None,
        prompt=timings.cache_n + timings.prompt_n,
        cached=timings.cache_n,
        written=timings.predicted_n,
    )


REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


def _native_reason(chunk: _Native) -> Reason | None:
    if not chunk.stop:
        return None
    return "length" if chunk.stop_type == "limit" else "stop"


def _tokens(tokens: tuple[_Token, ...], alternatives: int) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token.token,
            token.logprob,
            bytes(token.bytes),
            tuple(Alternative(a.token, a.logprob, bytes(a.bytes)) for a in token.top_logprobs[:alternatives]),
        )
        for token in tokens
    )
