"""Scores of documents: by a cross-encoder, which reads each with its query, or by the vectors of an embedding model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from backends import Model, scores
from backends.errors import EngineFailed
from backends.events import Event, Score, Usage
from backends.length import cut, exceeded, kept
from backends.requests import ScoreRequest
from backends.vllm import prompts
from backends.vllm.embedding import embed, in_order, pooled
from backends.vllm.loaded import CLASSIFY, Loaded
from backends.vllm.pairs import Pairs
from backends.vllm.trouble import translated


def score(loaded: Loaded, request: ScoreRequest) -> AsyncGenerator[Event, None]:
    """The events of a score request."""
    if loaded.pairs is None:
        return scores.compare(request, partial(embed, loaded))
    return _read_together(loaded, loaded.pairs, request)


async def _read_together(loaded: Loaded, pairs: Pairs, request: ScoreRequest) -> AsyncGenerator[Event, None]:
    model = prompts.model_of(loaded)
    keep = kept(request.truncate_prompt_tokens, model, pairs.least)
    queries, documents = _cut(request, model, keep)
    with translated(loaded.library, request.names[1]):
        made = await asyncio.gather(
            *(
                pairs.prompt(queries[index if len(queries) > 1 else 0], document, keep)
                for index, document in enumerate(documents)
            )
        )
    for index, (rendered, _) in enumerate(made):
        if prompts.length(rendered) > loaded.context:
            place = scores.place(request.names[1], index, len(documents))
            raise exceeded(model, place, f"has {prompts.length(rendered)}", f"{place} with its query")
    adapter = loaded.adapters.get(request.model)
    work = [pooled(loaded, rendered, _parameters(loaded, request, told), adapter) for rendered, told in made]
    async with aclosing(in_order(work)) as found:
        async for index, values in found:
            if len(values) != 1:
                raise EngineFailed("The engine did not answer with one score.")
            yield Score(values[0], index)
    yield Usage(prompt=sum(prompts.length(rendered) for rendered, _ in made))


def _cut(request: ScoreRequest, model: Model, keep: int | None) -> tuple[Sequence[str], Sequence[str]]:
    """Both sides without what need not be read. Raises ContextExceeded."""
    named = zip((*request.queries, *request.documents), scores.places(request), strict=True)
    texts = [str(cut(text, model, place, keep)) for text, place in named]
    return texts[: len(request.queries)], texts[len(request.queries) :]


def _parameters(loaded: Loaded, request: ScoreRequest, told: dict[str, Any] | None) -> Any:
    return loaded.library.PoolingParams(
        task=CLASSIFY, use_activation=request.extra.get("use_activation"), extra_kwargs=told
    )
