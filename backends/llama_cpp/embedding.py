"""Embeddings: inputs in batches, vectors as float32 bytes, shortened and normalised again on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from backends import Model
from backends.errors import ContextExceeded, EngineFailed
from backends.events import Embedding, Event, Usage
from backends.length import check_prompt, exceeded
from backends.llama_cpp.client import Client
from backends.requests import EmbeddingRequest, Prompt
from backends.vectors import columns, vector

BATCH = 32
# Tokens that the tokenizer puts around a text. None of its tokens is shorter than a byte.
SPECIAL = 2


class _Tokens(Struct, frozen=True):
    tokens: list[int]


class _Row(Struct, frozen=True):
    index: int
    embedding: list[float]


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Rows(Struct, frozen=True):
    data: list[_Row]
    usage: _Usage = _Usage()


async def embed(client: Client, model: Model, request: EmbeddingRequest) -> AsyncGenerator[Event, None]:
    """The events of an embedding request."""
    width = columns(request.dimensions, model)
    for text in request.inputs:
        check_prompt(text, model, "input")
        await _check_length(client, model, text)
    read = 0
    for first in range(0, len(request.inputs), BATCH):
        inputs = [text if isinstance(text, str) else list(text) for text in request.inputs[first : first + BATCH]]
        rows = await _rows(client, model, inputs)
        if len(rows.data) != len(inputs):
            raise EngineFailed("The engine did not embed every input.")
        read += rows.usage.prompt_tokens
        for row in rows.data:
            yield Embedding(vector(row.embedding, width), first + row.index)
    yield Usage(prompt=read)


async def _check_length(client: Client, model: Model, text: Prompt) -> None:
    """Raises ContextExceeded: the engine itself has only an internal error for an input that is too long."""
    if model.context is None or not isinstance(text, str) or len(text.encode()) + SPECIAL <= model.context:
        return
    found = await client.post("/tokenize", {"content": text, "add_special": True}, _Tokens)
    if len(found.tokens) > model.context:
        raise exceeded(model, "input")


async def _rows(client: Client, model: Model, inputs: Sequence[str | list[int]]) -> _Rows:
    try:
        return await client.post("/v1/embeddings", {"input": inputs, "encoding_format": "float"}, _Rows)
    except ContextExceeded as error:
        raise exceeded(model, "input") from error
