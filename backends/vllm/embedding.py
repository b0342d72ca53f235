"""Embeddings: every input at once, as the engine batches; vectors as float32 bytes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

from backends.errors import EngineFailed
from backends.events import Embedding, Event, Usage
from backends.length import check_prompt
from backends.requests import EmbeddingRequest
from backends.vectors import columns, vector
from backends.vllm import prompts
from backends.vllm.loaded import EMBED, Loaded
from backends.vllm.trouble import translated

_numbers = itertools.count()


async def embed(loaded: Loaded, request: EmbeddingRequest) -> AsyncGenerator[Event, None]:
    """The events of an embedding request."""
    model = prompts.model_of(loaded)
    width = columns(request.dimensions, model)
    for given in request.inputs:
        check_prompt(given, model, "input")
    rendered = await asyncio.gather(*(prompts.prompt(loaded, given, "input", room=False) for given in request.inputs))
    tasks = [asyncio.create_task(_vector(loaded, each, width, loaded.adapters.get(request.model))) for each in rendered]
    try:
        for index, task in enumerate(tasks):
            yield Embedding(await task, index)
    finally:
        # vLLM stops its work on an input when the task that waits for it is cancelled.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield Usage(prompt=sum(map(prompts.length, rendered)))


async def _vector(loaded: Loaded, rendered: prompts.Rendered, width: int | None, adapter: Any) -> bytes:
    parameters = loaded.library.PoolingParams(task=EMBED)
    with translated(loaded.library, "input"):
        async for output in loaded.client.encode(rendered, parameters, f"e{next(_numbers)}", lora_request=adapter):
            values: list[float] = output.outputs.data.float().tolist()
            return vector(values, width)
    raise EngineFailed("The engine did not embed every input.")
