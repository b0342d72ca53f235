"""Embeddings by a real engine."""

from __future__ import annotations

import math
from array import array

import pytest
from msgspec.structs import replace

from backends.errors import ContextExceeded, Refused
from backends.requests import EmbeddingRequest, Prompt
from tests.backends.conftest import Served

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
SENTENCES = ("That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day")


def vectors(served: Served, *inputs: Prompt, dimensions: int | None = None) -> list[array[float]]:
    outcome = served.answer(EmbeddingRequest(model="m", inputs=inputs, dimensions=dimensions))
    return [array("f", vector) for vector in outcome.vectors]


def product(one: array[float], other: array[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_it_knows_what_it_serves(vllm_vectors: Served) -> None:
    assert vllm_vectors.backend.model.kinds == {"embedding", "score", "tokenize"}
    assert (vllm_vectors.backend.model.dimensions, vllm_vectors.backend.model.context) == (384, 512)


def test_known_answers(vllm_vectors: Served) -> None:
    first, *others = vectors(vllm_vectors, *SENTENCES)
    assert [product(first, other) for other in others] == pytest.approx([0.6946, 0.9429, 0.2567], abs=1e-3)
    assert product(first, first) == pytest.approx(1.0, abs=1e-5)


def test_dimensions_shorten_and_normalise(vllm_vectors: Served) -> None:
    (whole,) = vectors(vllm_vectors, "hello")
    (short,) = vectors(vllm_vectors, "hello", dimensions=8)
    norm = math.sqrt(product(whole[:8], whole[:8]))
    assert short.tolist() == pytest.approx([value / norm for value in whole[:8]], abs=1e-6)
    with pytest.raises(Refused):
        vectors(vllm_vectors, "hello", dimensions=385)


def test_tokens_are_embedded_and_counted(vllm_vectors: Served) -> None:
    """The parameter token_prompts."""
    by_text = vectors(vllm_vectors, "hello")[0].tolist()
    assert vectors(vllm_vectors, (101, 7592, 102))[0].tolist() == pytest.approx(by_text, abs=1e-6)
    outcome = vllm_vectors.answer(EmbeddingRequest(model="m", inputs=("hello", (101, 7592, 102))))
    assert outcome.usage.prompt == 6


def test_many_at_once(vllm_vectors: Served) -> None:
    many = vectors(vllm_vectors, *(f"text number {number}" for number in range(100)))
    assert len({vector.tobytes() for vector in many}) == 100


@pytest.mark.parametrize("given", ["word " * 600, "word " * 6000, (7592,) * 513])
def test_too_long_an_input_is_refused_with_the_number(vllm_vectors: Served, given: Prompt) -> None:
    with pytest.raises(ContextExceeded, match="512") as refused:
        vectors(vllm_vectors, "fine", given)
    assert refused.value.param == "input"


def test_token_ids_are_checked(vllm_vectors: Served) -> None:
    with pytest.raises(Refused) as refused:
        vectors(vllm_vectors, (30522,))
    assert refused.value.param == "input"


def test_what_is_too_long_is_cut_on_request(vllm_vectors: Served) -> None:
    """The parameter truncate_prompt_tokens."""

    def cut(given: Prompt, keep: int) -> list[float]:
        request = EmbeddingRequest(model="m", inputs=(given,), truncate_prompt_tokens=keep)
        outcome = vllm_vectors.answer(request)
        assert outcome.usage.prompt == (512 if keep == -1 else keep)
        return array("f", outcome.vectors[0]).tolist()

    whole = vectors(vllm_vectors, "hello there")[0].tolist()
    assert cut("hello there my friend", 4) == pytest.approx(whole, abs=1e-5)
    assert cut((101, 7592, 2045, 102, 102, 102), 4) == pytest.approx(whole, abs=1e-5)
    assert cut("word " * 6000, -1) == pytest.approx(cut("word " * 510, 512), abs=1e-5)
    for wrong in (0, 2, 513):
        with pytest.raises(Refused) as refused:
            cut("hello", wrong)
        assert refused.value.param == "truncate_prompt_tokens"


def test_only_the_widths_that_a_model_was_trained_for(vllm_vectors: Served) -> None:
    loaded = vllm_vectors.backend._loaded
    assert loaded is not None
    vllm_vectors.backend._loaded = replace(loaded, widths=frozenset({8, 64}))
    try:
        assert len(vectors(vllm_vectors, "hello", dimensions=8)[0]) == 8
        with pytest.raises(Refused, match="8, 64") as refused:
            vectors(vllm_vectors, "hello", dimensions=9)
        assert refused.value.param == "dimensions"
    finally:
        vllm_vectors.backend._loaded = loaded
