"""Scores of documents by the angle between their vectors and their query's, for engines that embed."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from backends.events import Embedding, Event, Score, Usage
from backends.requests import EmbeddingRequest, ScoreRequest

# Embeds the inputs of a request; the names say what an error calls each of them.
Embed: TypeAlias = Callable[[EmbeddingRequest, Sequence[str]], AsyncGenerator[Event, None]]


def place(name: str, index: int, count: int) -> str:
    """What an error calls a text: the field, and its number when the field has several."""
    return name if count == 1 else f"{name}.{index}"


def places(request: ScoreRequest) -> list[str]:
    """What errors call the queries, then the documents."""
    sides = zip(request.names, (request.queries, request.documents), strict=True)
    return [place(name, index, len(texts)) for name, texts in sides for index in range(len(texts))]


async def compare(request: ScoreRequest, embed: Embed) -> AsyncGenerator[Event, None]:
    """The events of a score request: each score as soon as both of its vectors are there."""
    count = len(request.queries)
    found: dict[int, array[float]] = {}
    inputs = EmbeddingRequest(
        model=request.model,
        inputs=(*request.queries, *request.documents),
        truncate_prompt_tokens=request.truncate_prompt_tokens,
        extra=request.extra,
    )
    async with aclosing(embed(inputs, places(request))) as events:
        async for event in events:
            if isinstance(event, Embedding):
                found[event.index] = array("f", event.vector)
                for document in _concerned(event.index, count, len(request.documents)):
                    query = document if count > 1 else 0
                    if query in found and count + document in found:
                        yield Score(cosine(found[query], found[count + document]), document)
            elif isinstance(event, Usage):
                yield event


def _concerned(index: int, queries: int, documents: int) -> Sequence[int]:
    """The documents whose score an input is part of."""
    if index >= queries:
        return (index - queries,)
    return (index,) if queries > 1 else range(documents)


def cosine(one: array[float], other: array[float]) -> float:
    """Of two vectors of one length: from -1 to 1; 0 when one of them is nothing."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(map(operator.mul, one, other)) / norms if norms else 0.0
