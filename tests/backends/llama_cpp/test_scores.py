"""Scores by the embedded embedding model."""

from __future__ import annotations

from array import array

import pytest

from backends.errors import ContextExceeded, Refused
from backends.llama_cpp.embedding import shortened
from backends.requests import ChatRequest, EmbeddingRequest, Message, ScoreRequest, Text
from tests.backends.llama_cpp.conftest import Running

QUERY = "What is the capital of France?"
DOCUMENTS = ("Cats sleep most of the day.", "Paris is the capital of France.", "Bread is made of flour and water.")


def asks(*documents: str, queries: tuple[str, ...] = (QUERY,), keep: int | None = None) -> ScoreRequest:
    return ScoreRequest(
        model="m", queries=queries, documents=documents, names=("query", "documents"), truncate_prompt_tokens=keep
    )


@pytest.mark.engine
def test_the_document_that_answers_is_the_best(vectors: Running) -> None:
    outcome = vectors.answer(asks(*DOCUMENTS))
    assert outcome.scores[1] == max(outcome.scores) > 0.7
    assert max(outcome.scores[0], outcome.scores[2]) < 0.3
    assert outcome.usage.prompt == 9 + 9 + 9 + 10
    swapped = vectors.answer(asks(*DOCUMENTS, queries=(DOCUMENTS[0], DOCUMENTS[0], DOCUMENTS[2])))
    assert swapped.scores[0] == pytest.approx(1.0, abs=1e-5)
    assert swapped.scores[2] == pytest.approx(1.0, abs=1e-5)
    assert swapped.scores[1] < 0.3


@pytest.mark.engine
@pytest.mark.parametrize("long", ["word " * 700, "word " * 7000])
def test_too_long_a_document_is_named(vectors: Running, long: str) -> None:
    with pytest.raises(ContextExceeded, match="512") as refused:
        vectors.answer(asks("fine", long))
    assert refused.value.param == "documents.1"
    with pytest.raises(ContextExceeded) as refused:
        vectors.answer(asks("fine", queries=(long,)))
    assert refused.value.param == "query"


@pytest.mark.engine
def test_a_text_is_cut_between_its_special_tokens(vectors: Running) -> None:
    """The parameter truncate_prompt_tokens."""

    def vector(text: str | tuple[int, ...], keep: int | None = None) -> list[float]:
        request = EmbeddingRequest(model="m", inputs=(text,), truncate_prompt_tokens=keep)
        return array("f", vectors.answer(request).vectors[0]).tolist()

    assert vector("hello there my friend", 4) == pytest.approx(vector("hello there"), abs=1e-4)
    assert vector((101, 7592, 102, 5, 6), 3) == pytest.approx(vector("hello"), abs=1e-4)
    cut = vectors.answer(asks("word " * 7000, "word " * 510, keep=-1))
    assert cut.scores[0] == pytest.approx(cut.scores[1], abs=1e-4)
    assert cut.usage.prompt == 9 + 2 * 512
    for wrong in (0, 2, 513):
        with pytest.raises(Refused) as refused:
            vector("hello", wrong)
        assert refused.value.param == "truncate_prompt_tokens"


@pytest.mark.engine
def test_a_model_that_chats_does_not_score(chat: Running, vectors: Running) -> None:
    with pytest.raises(Refused) as refused:
        chat.answer(asks("a"))
    assert refused.value.param == "model"
    with pytest.raises(Refused) as refused:
        vectors.answer(ChatRequest(model="m", messages=(Message(role="user", parts=(Text("a"),)),)))
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    ("found", "bare", "cut"),
    [
        ((101, 1, 2, 3, 102), (1, 2, 3), (101, 1, 102)),
        ((9, 1, 2, 3), (1, 2, 3), (9, 1, 2)),
        ((1, 2, 3, 9), (1, 2, 3), (1, 2, 9)),
        ((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3)),
    ],
)
def test_special_tokens_before_after_and_none(
    found: tuple[int, ...], bare: tuple[int, ...], cut: tuple[int, ...]
) -> None:
    assert shortened(found, bare, 3) == cut
