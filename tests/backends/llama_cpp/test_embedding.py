from __future__ import annotations

import math
from array import array

import pytest

from backends.errors import ContextExceeded, Refused
from backends.llama_cpp.embedding import batches
from backends.requests import EmbeddingRequest, Prompt
from backends.vectors import vector
from tests.backends.llama_cpp.conftest import Running

KNOWN = {
    "That is a happy dog": 0.6946,
    "That is a very happy person": 0.9429,
    "Today is a sunny day": 0.2567,
}


def numbers(data: bytes) -> array[float]:
    return array("f", data)


def cosine(one: bytes, other: bytes) -> float:
    a, b = numbers(one), numbers(other)
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def asks(*inputs: Prompt, dimensions: int | None = None) -> EmbeddingRequest:
    return EmbeddingRequest(model="m", inputs=inputs, dimensions=dimensions)


@pytest.mark.engine
def test_vectors_have_the_similarities_of_the_original(vectors: Running) -> None:
    outcome = vectors.answer(asks("That is a happy person", *KNOWN))
    first, *others = outcome.vectors
    assert len(numbers(first)) == vectors.backend.model.dimensions == 384
    assert math.hypot(*numbers(first)) == pytest.approx(1.0, abs=1e-5)
    for other, known in zip(others, KNOWN.values(), strict=True):
        assert cosine(first, other) == pytest.approx(known, abs=5e-4)
    assert outcome.usage.prompt == 29


@pytest.mark.engine
def test_many_inputs_keep_their_order(vectors: Running) -> None:
    texts = [f"number {number}" for number in range(70)]
    outcome = vectors.answer(asks(*texts))
    assert len(outcome.vectors) == 70
    assert cosine(vectors.answer(asks(texts[66])).vectors[0], outcome.vectors[66]) > 0.999


def test_batches_are_short() -> None:
    assert [len(batch) for batch in batches(["word"] * 70)] == [32, 32, 6]
    assert [len(batch) for batch in batches(["x" * 400] * 5)] == [2, 2, 1]
    assert list(batches(["x" * 9000, "ä" * 2000, "b", (1,) * 1000, (2,)])) == [
        ["x" * 9000],
        ["ä" * 2000],
        ["b"],
        [(1,) * 1000],
        [(2,)],
    ]


@pytest.mark.engine
def test_tokens_are_taken_and_dimensions_cut(vectors: Running) -> None:
    text = vectors.answer(asks("hello")).vectors[0]
    tokens = vectors.answer(asks((101, 7592, 102))).vectors[0]
    assert cosine(text, tokens) > 0.999
    short = numbers(vectors.answer(asks("hello", dimensions=16)).vectors[0])
    assert len(short) == 16
    assert math.hypot(*short) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.engine
@pytest.mark.parametrize("text", ["word " * 700, "word " * 7000, (5,) * 513])
def test_an_input_that_is_too_long_is_named(vectors: Running, text: Prompt) -> None:
    with pytest.raises(ContextExceeded) as caught:
        vectors.answer(asks("fine", text))
    assert caught.value.param == "input"


@pytest.mark.engine
@pytest.mark.parametrize(("text", "dimensions", "param"), [((30522,), None, "input"), ("x", 385, "dimensions")])
def test_bad_values_are_named(vectors: Running, text: Prompt, dimensions: int | None, param: str) -> None:
    with pytest.raises(Refused) as caught:
        vectors.answer(asks(text, dimensions=dimensions))
    assert caught.value.param == param


def test_a_vector_of_zeros_stays_one() -> None:
    assert list(numbers(vector([0.0, 0.0, 1.0], 2))) == [0.0, 0.0]
