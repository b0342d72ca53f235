"""The engine's outputs -> events, or pieces for what needs reading: calls, reasoning, log probabilities."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Protocol

from msgspec import Struct, structs

from backends.choices.choice import Counts
from backends.choices.piece import Piece
from backends.errors import EngineFailed
from backends.events import Delta, Event, Finish, Reason, TokenLogprob
from backends.vllm import logprobs
from backends.vllm.loaded import Loaded
from backends.vllm.prompts import Rendered
from backends.vllm.trouble import translated

REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "repetition": "stop"}
_numbers = itertools.count()


class Reader(Protocol):
    """Takes what a choice says apart. One object reads one choice."""

    def read(self, new: Any, *, finished: bool) -> Piece:
        """The text, reasoning and calls that an output brings."""


class Work(Struct, frozen=True):
    """One choice to generate: `parameters` are vLLM's SamplingParams, `adapter` its LoRARequest or None.

    `heard` takes vLLM's log probabilities of the prompt. `whole`: the token that ended the answer has an entry too.
    `numbers`: entries call tokens by their ids.
    """

    index: int
    rendered: Rendered
    parameters: Any
    adapter: Any = None
    priority: int = 0
    heard: list[Any] | None = None
    whole: bool = False
    numbers: bool = False


async def generated(loaded: Loaded, work: Work) -> AsyncGenerator[Any, None]:
    """vLLM's outputs, each with what is new. Closing it early aborts the engine's request."""
    pace = loaded.pace
    with translated(loaded.library), pace.stream():
        outputs = loaded.client.generate(
            work.rendered,
            work.parameters,
            f"r{next(_numbers)}",
            lora_request=work.adapter,
            priority=work.priority,
        )
        async with aclosing(outputs):
            async for output in outputs:
                if work.heard is not None and output.prompt_logprobs is not None:
                    work.heard.append(output.prompt_logprobs)
                yield output
                pace.took(len(output.outputs[0].token_ids))
                if pace.busy and not output.finished:
                    await pace.turn()


async def plain(loaded: Loaded, work: Work, counts: Counts) -> AsyncGenerator[Event, None]:
    """The events of a choice whose text needs no reading: the hot path."""
    index, written, reason = work.index, 0, None
    async with aclosing(generated(loaded, work)) as outputs:
        async for output in outputs:
            new = output.outputs[0]
            written += len(new.token_ids)
            if not counts.prompt:
                _read(output, counts)
            if new.finish_reason is not None:
                reason = _reason(new)
                counts.written = written
            if new.text:
                yield Delta(new.text, index)
    if reason is None:
        raise EngineFailed
    yield Finish(reason, index)


async def pieces(
    loaded: Loaded, work: Work, reader: Reader | None, alternatives: int | None
) -> AsyncGenerator[Piece, None]:
    """The pieces of a choice. `reader` takes calls and reasoning out of the text."""
    counts = Counts()
    async with aclosing(generated(loaded, work)) as outputs:
        async for output in outputs:
            new = output.outputs[0]
            _read(output, counts)
            counts.written += len(new.token_ids)
            reason = None if new.finish_reason is None else _reason(new)
            read = Piece(new.text) if reader is None else reader.read(new, finished=reason is not None)
            yield Piece(
                text=read.text,
                reasoning=read.reasoning,
                tools=read.tools,
                logprobs=() if alternatives is None else tuple(_logprobs(new, alternatives, work)),
                reason=reason,
                prompt=counts.prompt,
                cached=counts.cached,
                written=counts.written,
            )


def _read(output: Any, counts: Counts) -> None:
    counts.prompt = len(output.prompt_token_ids or ())
    counts.cached = output.num_cached_tokens or 0


def _reason(new: Any) -> Reason:
    """Raises EngineFailed for an end that is none of the client's doing."""
    reason = REASONS.get(str(new.finish_reason))
    if reason is None:
        raise EngineFailed
    return reason


def _logprobs(new: Any, alternatives: int, work: Work) -> Iterator[TokenLogprob]:
    """An entry a token; the one that ended the answer says nothing and has none, unless it is to be shown."""
    entries = list(zip(new.token_ids, new.logprobs or (), strict=False))
    silent = -1
    if new.finish_reason == "stop" and not isinstance(new.stop_reason, str):
        if not work.parameters.include_stop_str_in_output:
            silent = len(entries) - 1
        if silent >= 0 and not work.whole:
            entries.pop()
    for number, (token, position) in enumerate(entries):
        made = logprobs.entry(position, token, alternatives, numbers=work.numbers)
        yield structs.replace(made, data=b"") if number == silent else made
