"""Scores by real engines: a cross-encoder with random weights, and MiniLM's vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from backends.errors import ContextExceeded, Refused
from backends.requests import EmbeddingRequest, ScoreRequest
from tests.backends.conftest import Served, checkpoint

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
QUERY = "What is the capital of France?"
DOCUMENTS = ("Cats sleep most of the day.", "Paris is the capital of France.", "Bread is made of flour and water.")


def asks(*documents: str, queries: tuple[str, ...] = (QUERY,), keep: int | None = None, **extra: Any) -> ScoreRequest:
    return ScoreRequest(
        model="m",
        queries=queries,
        documents=documents,
        names=("query", "documents"),
        truncate_prompt_tokens=keep,
        extra=extra,
    )


def logits(pairs: Sequence[tuple[str, str]], **options: Any) -> list[float]:
    """What transformers makes of the same pairs."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = checkpoint("cross-encoder")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return [float(model(**tokenizer(*pair, return_tensors="pt", **options)).logits) for pair in pairs]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_document_that_answers_is_the_best(vllm_vectors: Served) -> None:
    outcome = vllm_vectors.answer(asks(*DOCUMENTS))
    assert outcome.scores[1] == max(outcome.scores) > 0.7
    assert max(outcome.scores[0], outcome.scores[2]) < 0.3
    assert outcome.usage.prompt == 9 + 9 + 9 + 10
    each = vllm_vectors.answer(asks(*DOCUMENTS, queries=DOCUMENTS))
    assert each.scores == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)


def test_vectors_are_of_texts_that_fit(vllm_vectors: Served) -> None:
    for long in ("word " * 700, "word " * 7000):
        with pytest.raises(ContextExceeded, match="512") as refused:
            vllm_vectors.answer(asks("fine", long))
        assert refused.value.param == "documents.1"
        with pytest.raises(ContextExceeded) as refused:
            vllm_vectors.answer(asks("fine", queries=(long,)))
        assert refused.value.param == "query"
    cut = vllm_vectors.answer(asks("word " * 7000, "word " * 510, keep=-1))
    assert cut.scores[0] == pytest.approx(cut.scores[1], abs=1e-5)


def test_a_cross_encoder_knows_what_it_is(vllm_pairs: Served) -> None:
    model = vllm_pairs.backend.model
    assert model.kinds == {"score", "tokenize"}
    assert (model.context, model.vocabulary, model.dimensions) == (512, 30522, None)
    with pytest.raises(Refused) as refused:
        vllm_pairs.answer(EmbeddingRequest(model="m", inputs=("a",)))
    assert refused.value.param == "model"


def test_pairs_get_the_scores_that_transformers_gives_them(vllm_pairs: Served) -> None:
    """The parameter use_activation."""
    known = logits([(QUERY, document) for document in DOCUMENTS])
    assert max(known) - min(known) > 0.2
    plain = vllm_pairs.answer(asks(*DOCUMENTS, use_activation=False))
    assert plain.scores == pytest.approx(known, abs=1e-3)
    outcome = vllm_pairs.answer(asks(*DOCUMENTS))
    assert outcome.scores == pytest.approx(list(map(sigmoid, known)), abs=1e-3)
    assert outcome.usage.prompt == 3 * 9 + 8 + 8 + 9
    again = vllm_pairs.answer(asks(*DOCUMENTS, use_activation=True))
    assert again.scores == pytest.approx(outcome.scores, abs=1e-5)


def test_each_document_with_its_own_query(vllm_pairs: Served) -> None:
    pairs = [("red", "green"), ("green", "red"), ("red", "red")]
    outcome = vllm_pairs.answer(
        asks(*(document for _, document in pairs), queries=tuple(query for query, _ in pairs), use_activation=False)
    )
    assert outcome.scores == pytest.approx(logits(pairs), abs=1e-3)


def test_many_pairs_keep_their_order(vllm_pairs: Served) -> None:
    documents = [f"document number {number}" for number in range(60)]
    outcome = vllm_pairs.answer(asks(*documents, use_activation=False))
    assert outcome.scores == pytest.approx(logits([(QUERY, document) for document in documents]), abs=1e-3)


def test_a_pair_that_is_too_long_is_refused_or_cut(vllm_pairs: Served) -> None:
    """The parameter truncate_prompt_tokens."""
    long = "word " * 503
    assert vllm_pairs.answer(asks("word " * 502, queries=("one two three four five six seven",))).usage.prompt == 512
    with pytest.raises(ContextExceeded, match=r"512.*documents.1.*513") as refused:
        vllm_pairs.answer(asks("a", long, queries=("one two three four five six seven",)))
    assert refused.value.param == "documents.1"
    with pytest.raises(ContextExceeded) as refused:
        vllm_pairs.answer(asks("a", queries=("word " * 5000,)))
    assert refused.value.param == "query"
    cut = vllm_pairs.answer(asks("word " * 5000, keep=-1, use_activation=False))
    assert cut.usage.prompt == 512
    assert cut.scores == pytest.approx(logits([(QUERY, "word " * 5000)], truncation=True, max_length=512), abs=1e-3)
    assert vllm_pairs.answer(asks(DOCUMENTS[0], keep=5)).usage.prompt == 5
    for wrong in (0, 4, 513):
        with pytest.raises(Refused) as number:
            vllm_pairs.answer(asks("a", keep=wrong))
        assert number.value.param == "truncate_prompt_tokens"


def test_a_model_that_chats_does_not_score(vllm_chat: Served) -> None:
    with pytest.raises(Refused) as refused:
        vllm_chat.answer(asks("a"))
    assert refused.value.param == "model"
