"""Embeddings: inputs in batches, vectors as float32 bytes, shortened and normalised again on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence

from msgspec import Struct

from backends import Model
from backends.errors import ContextExceeded, EngineFailed
from backends.events import Embedding, Event, Usage
from backends.length import cut, exceeded, kept
from backends.llama_cpp.client import Client
from backends.llama_cpp.tokens import ids_of
from backends.requests import EmbeddingRequest, Prompt, Tokens
from backends.vectors import columns, vector

# Texts that go to the engine at once, and their bytes: others have their turn between two batches, and a passage of a
# document fills one.
BATCH, BATCH_BYTES = 32, 1000
# Bytes of a token, about.
TOKEN_BYTES = 4
# Tokens that the tokenizer puts around a text. None of its tokens is shorter than a byte.
SPECIAL = 2


class _Row(Struct, frozen=True):
    index: int
    embedding: list[float]


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0


class _Rows(Struct, frozen=True):
    data: list[_Row]
    usage: _Usage = _Usage()


async def embed(
    client: Client, model: Model, request: EmbeddingRequest, places: Sequence[str] = ()
) -> AsyncGenerator[Event, None]:
    """The events of an embedding request. `places` is what errors call each input, "input" if there are none."""
    width = columns(request.dimensions, model)
    keep = kept(request.truncate_prompt_tokens, model, SPECIAL + 1)
    fitting = [
        await _fitting(client, model, text, places[index] if places else "input", keep)
        for index, text in enumerate(request.inputs)
    ]
    read = done = 0
    for batch in batches(fitting):
        rows = await _rows(client, model, [text if isinstance(text, str) else list(text) for text in batch])
        if len(rows.data) != len(batch):
            raise EngineFailed("The engine did not embed every input.")
        read += rows.usage.prompt_tokens
        for row in rows.data:
            yield Embedding(vector(row.embedding, width), done + row.index)
        done += len(batch)
    yield Usage(prompt=read)


def batches(texts: Sequence[Prompt]) -> Iterator[Sequence[Prompt]]:
    """The texts in order, as many together as make a batch."""
    first = room = 0
    for place, text in enumerate(texts):
        size = len(text.encode()) if isinstance(text, str) else len(text) * TOKEN_BYTES
        if place > first and (size > room or place - first == BATCH):
            yield texts[first:place]
            first = place
        room = (BATCH_BYTES if place == first else room) - size
    yield texts[first:]


async def _fitting(client: Client, model: Model, given: Prompt, place: str, keep: int | None) -> Prompt:
    """The input as the engine is to read it, cut to `keep` tokens if that is a number.

    Raises ContextExceeded: the engine itself has only an internal error for an input that is too long.
    """
    text = cut(given, model, place, keep)
    most = keep or model.context
    if most is None or not isinstance(text, str) or len(text.encode()) + SPECIAL <= most:
        return text
    found = await ids_of(client, text, special=True)
    if len(found) <= most:
        return text
    if keep is None:
        raise exceeded(model, place, f"has {len(found)}")
    bare = await ids_of(client, text, special=False)
    return shortened(found, bare, keep)


def shortened(found: Tokens, bare: Tokens, keep: int) -> Tokens:
    """Of a text's tokens the first, between the special ones that stand around the `bare` ones."""
    around = len(found) - len(bare)
    before = next((start for start in range(around + 1) if found[start : start + len(bare)] == bare), around)
    after = found[before + len(bare) :]
    return (*found[: keep - len(after)], *after)


async def _rows(client: Client, model: Model, inputs: Sequence[str | list[int]]) -> _Rows:
    try:
        return await client.post("/v1/embeddings", {"input": inputs, "encoding_format": "float"}, _Rows)
    except ContextExceeded as error:
        raise exceeded(model, "input") from error
