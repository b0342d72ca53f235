"""Completions: prompts of text or token ids, each answered n times, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from msgspec import structs

from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.constraints import constraint
from backends.constraints.compiler import Compiler
from backends.errors import Refused
from backends.events import Delta, Event, Finish, Usage
from backends.length import check_prompt
from backends.requests import CompletionRequest, Prompt
from backends.vllm import logprobs, outputs, prompts, sampling
from backends.vllm.loaded import Loaded


async def complete(loaded: Loaded, compiler: Compiler, request: CompletionRequest) -> AsyncGenerator[Event, None]:
    """The events of a completion request."""
    wanted = request.sampling
    cut = prompts.Cut.of(request.extra, wanted)
    _check(loaded, request, cut)
    grammar = await constraint.grammar(compiler, wanted.constraint)
    rendered = await asyncio.gather(*(prompts.prompt(loaded, given, "prompt", cut) for given in request.prompts))
    texts = await _spoken(loaded, request, rendered, cut) if request.echo else []
    if request.echo and wanted.logprobs is None:
        for index in range(len(texts) * wanted.n):
            yield Delta(texts[index // wanted.n], index)
    if wanted.max_tokens == 0 and not _scored(request):
        for index in range(len(rendered) * wanted.n):
            yield Finish("length", index)
        yield Usage(prompt=sum(map(prompts.length, rendered)))
        return
    counts = [Counts() for _ in range(len(rendered) * wanted.n)]
    said: Sequence[str | None] = texts or [None] * len(rendered)
    streams = [
        _one(loaded, request, rendered[at // wanted.n], at, grammar, said[at // wanted.n], count)
        for at, count in enumerate(counts)
    ]
    async with aclosing(merge(streams)) as merged:
        async for event in merged:
            yield event
    if wanted.max_tokens == 0:  # what the engine wrote was not asked for
        for count in counts:
            count.written = 0
    yield usage(counts, wanted.n)


def _check(loaded: Loaded, request: CompletionRequest, cut: prompts.Cut) -> None:
    """Raises Refused or ContextExceeded for what is wrong before any token is counted."""
    for given in request.prompts:
        if not len(given):
            raise Refused("A prompt must not be empty.", param="prompt")
        check_prompt(given, prompts.model_of(loaded, cut), "prompt")


def _scored(request: CompletionRequest) -> bool:
    """Whether the engine has to tell log probabilities of the prompt."""
    wanted = request.sampling
    return wanted.prompt_logprobs is not None or (request.echo and wanted.logprobs is not None)


def _of_prompt(request: CompletionRequest) -> int | None:
    """How many alternatives to each of the prompt's tokens serve both who wants them."""
    wanted = request.sampling
    echoed = wanted.logprobs if request.echo else None
    return max((count for count in (wanted.prompt_logprobs, echoed) if count is not None), default=None)


def _one(
    loaded: Loaded,
    request: CompletionRequest,
    rendered: prompts.Rendered,
    index: int,
    grammar: str,
    text: str | None,
    counts: Counts,
) -> AsyncGenerator[Event, None]:
    """`text` is the prompt to be said back, if it is."""
    wanted = request.sampling
    json = constraint.is_json(wanted.constraint)
    simple = not json and wanted.logprobs is None
    # The engine reads no prompt without writing a token, which is then not told.
    silent = wanted.max_tokens == 0
    work = outputs.Work(
        index,
        rendered,
        sampling.parameters(
            loaded,
            structs.replace(wanted, max_tokens=1) if silent else wanted,
            request.extra,
            choice=index % wanted.n,
            room=loaded.context - prompts.length(rendered),
            grammar=grammar,
            stops=simple,
            of_prompt=_of_prompt(request),
        ),
        loaded.adapters.get(request.model),
        priority=request.extra.get("priority", 0),
        heard=[] if _scored(request) else None,
        whole=text is not None,
        numbers=request.extra.get("return_tokens_as_token_ids", False),
    )
    if simple:
        events = outputs.plain(loaded, work, counts)
    else:
        plan = Plan(index, wanted, json=json, keep_stop=work.parameters.include_stop_str_in_output)
        events = choice(outputs.pieces(loaded, work, None, wanted.logprobs), plan, counts)
    if work.heard is None:
        return events
    return logprobs.after(
        events, lambda: _told(loaded, request, work, text), only=Finish("length", index) if silent else None
    )


def _told(loaded: Loaded, request: CompletionRequest, work: outputs.Work, text: str | None) -> Iterator[Event]:
    """The prompt's log probabilities: by themselves, and in the prompt that is said back."""
    wanted = request.sampling
    for places in work.heard or ():
        if wanted.prompt_logprobs is not None:
            yield logprobs.of_prompt(work.index, places, wanted.prompt_logprobs)
        if text is not None and wanted.logprobs is not None:
            ids = work.rendered["prompt_token_ids"]
            entries = logprobs.echoed(loaded, ids, text, places, wanted.logprobs, numbers=work.numbers)
            yield Delta(text, work.index, logprobs=tuple(entries))


async def _spoken(
    loaded: Loaded, request: CompletionRequest, rendered: Sequence[prompts.Rendered], cut: prompts.Cut
) -> list[str]:
    """The prompts as they are said back: what was cut off is not."""

    def text(given: Prompt, read: prompts.Rendered) -> str:
        if isinstance(given, str) and cut.tokens is None:
            return given
        spoken: str = loaded.tokenizer.decode(list(read["prompt_token_ids"]))
        return spoken

    return [await asyncio.to_thread(text, *pair) for pair in zip(request.prompts, rendered, strict=True)]
