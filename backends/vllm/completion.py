"""Completions: prompts of text or token ids, each answered n times, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.constraints import constraint
from backends.constraints.compiler import Compiler
from backends.errors import Refused, Unsupported
from backends.events import Delta, Event, Finish, Usage
from backends.length import check_prompt
from backends.requests import CompletionRequest, Prompt
from backends.vllm import outputs, prompts, sampling
from backends.vllm.loaded import Loaded


async def complete(loaded: Loaded, compiler: Compiler, request: CompletionRequest) -> AsyncGenerator[Event, None]:
    """The events of a completion request."""
    wanted = request.sampling
    if request.echo and wanted.logprobs is not None:
        raise Unsupported("echo cannot be combined with logprobs here.", param="echo")
    for given in request.prompts:
        if not len(given):
            raise Refused("A prompt must not be empty.", param="prompt")
        check_prompt(given, prompts.model_of(loaded), "prompt")
    grammar = await constraint.grammar(compiler, wanted.constraint)
    rendered = await asyncio.gather(*(prompts.prompt(loaded, given, "prompt") for given in request.prompts))
    if request.echo:
        for number, given in enumerate(request.prompts):
            spoken = await _spoken(loaded, given)
            for index in range(number * wanted.n, (number + 1) * wanted.n):
                yield Delta(spoken, index)
    if wanted.max_tokens == 0:
        for index in range(len(rendered) * wanted.n):
            yield Finish("length", index)
        yield Usage(prompt=sum(map(prompts.length, rendered)))
        return
    counts = [Counts() for _ in range(len(rendered) * wanted.n)]
    streams = [_one(loaded, request, rendered[at // wanted.n], at, grammar, counts[at]) for at in range(len(counts))]
    async with aclosing(merge(streams)) as merged:
        async for event in merged:
            yield event
    yield usage(counts, wanted.n)


def _one(
    loaded: Loaded, request: CompletionRequest, rendered: prompts.Rendered, index: int, grammar: str, counts: Counts
) -> AsyncGenerator[Event, None]:
    wanted = request.sampling
    json = constraint.is_json(wanted.constraint)
    simple = not json and wanted.logprobs is None
    work = outputs.Work(
        index,
        rendered,
        sampling.parameters(
            loaded,
            wanted,
            request.extra,
            choice=index % wanted.n,
            room=loaded.context - prompts.length(rendered),
            grammar=grammar,
            stops=simple,
        ),
        loaded.adapters.get(request.model),
    )
    if simple:
        return outputs.plain(loaded, work, counts)
    return choice(outputs.pieces(loaded, work, None, wanted.logprobs), Plan(index, wanted, json=json), counts)


async def _spoken(loaded: Loaded, given: Prompt) -> str:
    if isinstance(given, str):
        return given
    text: str = await asyncio.to_thread(loaded.tokenizer.decode, list(given))
    return text
