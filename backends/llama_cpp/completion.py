"""Completions: prompts of text or token ids, each answered n times, all at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from backends import Model
from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.constraints.constraint import is_json
from backends.errors import ContextExceeded, Refused, Unsupported
from backends.events import Delta, Event, Finish, Usage
from backends.length import check_prompt, exceeded
from backends.llama_cpp import pieces, sampling
from backends.llama_cpp.client import Client
from backends.llama_cpp.tokens import ids_of, text_of
from backends.requests import CompletionRequest, Prompt


async def complete(
    client: Client, model: Model, request: CompletionRequest, grammar: str
) -> AsyncGenerator[Event, None]:
    """The events of a completion request."""
    wanted = request.sampling
    if request.echo and wanted.logprobs is not None:
        raise Unsupported("echo cannot be combined with logprobs here.", param="echo")
    for prompt in request.prompts:
        check_prompt(prompt, model, "prompt")
    if request.echo:
        for number, prompt in enumerate(request.prompts):
            spoken = await _spoken(client, prompt)
            for index in range(number * wanted.n, (number + 1) * wanted.n):
                yield Delta(spoken, index)
    if wanted.max_tokens == 0:
        async for event in _nothing(client, request):
            yield event
        return
    counts = [Counts() for _ in range(len(request.prompts) * wanted.n)]
    streams = [_one(client, request, index, grammar, counts[index]) for index in range(len(counts))]
    try:
        async with aclosing(merge(streams)) as merged:
            async for event in merged:
                yield event
    except ContextExceeded as error:
        raise exceeded(model, "prompt") from error
    yield usage(counts, wanted.n)


def _one(
    client: Client, request: CompletionRequest, index: int, grammar: str, counts: Counts
) -> AsyncGenerator[Event, None]:
    wanted = request.sampling
    prompt = request.prompts[index // wanted.n]
    body: dict[str, Any] = {
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "stream": True,
        "n_predict": -1 if wanted.max_tokens is None else wanted.max_tokens,
        **sampling.fields(wanted, request.extra, choice=index % wanted.n, grammar=grammar),
    }
    if wanted.logprobs is not None:
        body["n_probs"] = max(1, wanted.logprobs)
    plan = Plan(index, wanted, json=is_json(wanted.constraint))
    return choice(pieces.native(client, body, wanted.logprobs or 0), plan, counts)


async def _spoken(client: Client, prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return await text_of(client, prompt)


async def _nothing(client: Client, request: CompletionRequest) -> AsyncGenerator[Event, None]:
    """No token asked for: only count the prompts."""
    read = 0
    for number, prompt in enumerate(request.prompts):
        for index in range(number * request.sampling.n, (number + 1) * request.sampling.n):
            yield Finish("length", index)
        read += len(await ids_of(client, prompt, special=True) if isinstance(prompt, str) else prompt)
    yield Usage(prompt=read)


def check_empty(request: CompletionRequest) -> None:
    """Raises Refused for a prompt of no tokens, which the engine cannot continue."""
    if any(len(prompt) == 0 for prompt in request.prompts):
        raise Refused("A prompt must not be empty.", param="prompt")
