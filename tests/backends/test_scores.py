"""Scores by vectors, whatever engine makes them."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import AsyncGenerator, Sequence

import pytest

from backends.events import Embedding, Event, Outcome, Progress, Usage
from backends.requests import EmbeddingRequest, ScoreRequest
from backends.scores import compare, cosine

ANGLES = {"right": 0.0, "up": 90.0, "left": 180.0, "slope": 60.0}


def asked(queries: Sequence[str], documents: Sequence[str]) -> ScoreRequest:
    return ScoreRequest(
        model="m",
        queries=tuple(queries),
        documents=tuple(documents),
        names=("query", "texts"),
        truncate_prompt_tokens=7,
    )


def scores(request: ScoreRequest, *, backwards: bool = False) -> tuple[list[float], list[Sequence[str]]]:
    """The scores by an engine that knows the angle of each word, and what it called the inputs."""
    named: list[Sequence[str]] = []

    async def embed(given: EmbeddingRequest, places: Sequence[str]) -> AsyncGenerator[Event, None]:
        assert (given.model, given.truncate_prompt_tokens) == ("m", 7)
        named.append(places)
        yield Progress(0.5)
        inputs = list(enumerate(given.inputs))
        for index, word in reversed(inputs) if backwards else inputs:
            angle = math.radians(ANGLES[str(word)])
            yield Embedding(array("f", (2 * math.cos(angle), 2 * math.sin(angle))).tobytes(), index)
        yield Usage(prompt=len(inputs))

    outcome = asyncio.run(Outcome.of(compare(request, embed)))
    assert outcome.usage.prompt == len(request.queries) + len(request.documents)
    return outcome.scores, named


@pytest.mark.parametrize("backwards", [False, True])
def test_one_query_for_all(backwards: bool) -> None:
    found, named = scores(asked(["right"], ["up", "slope", "left", "right"]), backwards=backwards)
    assert found == pytest.approx([0.0, 0.5, -1.0, 1.0], abs=1e-6)
    assert named == [["query", "texts.0", "texts.1", "texts.2", "texts.3"]]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_query_for_each(backwards: bool) -> None:
    found, named = scores(asked(["right", "left"], ["slope", "slope"]), backwards=backwards)
    assert found == pytest.approx([0.5, -0.5], abs=1e-6)
    assert named == [["query.0", "query.1", "texts.0", "texts.1"]]


def test_nothing_is_like_nothing() -> None:
    assert cosine(array("f", (0.0, 0.0)), array("f", (1.0, 0.0))) == 0.0
    assert scores(asked(["up"], ["up"]))[1] == [["query", "texts"]]
