"""Embeddings: every input at once, as the engine batches; vectors as float32 bytes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from backends.errors import EngineFailed, Refused
from backends.events import Embedding, Event, Usage
from backends.length import cut, kept
from backends.requests import EmbeddingRequest
from backends.vectors import columns, vector
from backends.vllm import prompts
from backends.vllm.loaded import EMBED, Loaded
from backends.vllm.pairs import special_tokens
from backends.vllm.trouble import translated

T = TypeVar("T")
_numbers = itertools.count()


async def embed(loaded: Loaded, request: EmbeddingRequest, places: Sequence[str] = ()) -> AsyncGenerator[Event, None]:
    """The events of an embedding request. `places` is what errors call each input, "input" if there are none."""
    model = prompts.model_of(loaded)
    width = _columns(loaded, request.dimensions)
    keep = kept(request.truncate_prompt_tokens, model, special_tokens(loaded.tokenizer) + 1)
    names = places or ["input"] * len(request.inputs)
    inputs = [cut(given, model, name, keep) for given, name in zip(request.inputs, names, strict=True)]
    rendered = await asyncio.gather(
        *(prompts.prompt(loaded, *each, room=False, keep=keep) for each in zip(inputs, names, strict=True))
    )
    parameters = loaded.library.PoolingParams(task=EMBED)
    adapter = loaded.adapters.get(request.model)
    async with aclosing(in_order([pooled(loaded, each, parameters, adapter) for each in rendered])) as found:
        async for index, values in found:
            yield Embedding(vector(values, width), index)
    yield Usage(prompt=sum(map(prompts.length, rendered)))


def _columns(loaded: Loaded, dimensions: int | None) -> int | None:
    """How many columns were asked for, None for all. Raises Refused for a width the model was not trained for."""
    if dimensions is not None and loaded.widths and dimensions not in loaded.widths:
        known = ", ".join(map(str, sorted(loaded.widths)))
        raise Refused(f"dimensions is {dimensions}; this model has {known}.", param="dimensions")
    return columns(dimensions, prompts.model_of(loaded))


async def in_order(work: Sequence[Coroutine[Any, Any, T]]) -> AsyncGenerator[tuple[int, T], None]:
    """Do all of it at once; each result and its number. Closing it early stops what still runs."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        for index, task in enumerate(tasks):
            yield index, await task
    finally:
        # vLLM stops its work on an input when the task that waits for it is cancelled.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def pooled(loaded: Loaded, rendered: prompts.Rendered, parameters: Any, adapter: Any) -> list[float]:
    """What the engine makes of one prompt."""
    with translated(loaded.library, "input"):
        async for output in loaded.client.encode(rendered, parameters, f"e{next(_numbers)}", lora_request=adapter):
            values: list[float] = output.outputs.data.float().flatten().tolist()
            return values
    raise EngineFailed("The engine did not answer for every input.")
