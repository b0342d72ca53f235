"""Parameters that change which token comes next: each does."""

from __future__ import annotations

import array

import pytest

from backends.requests import CompletionRequest, EmbeddingRequest, Sampling
from tests.backends.llama_cpp.conftest import Running, says

pytestmark = pytest.mark.engine

LIST = "Repeat the word apple again and again."


def text(chat: Running, **sampling: object) -> str:
    return chat.answer(says(LIST, max_tokens=40, **sampling)).answers[0].text


def test_a_small_top_p_leaves_one_token_to_choose(chat: Running) -> None:
    hot = {"temperature": 2.0, "max_tokens": 20}
    narrow = {chat.answer(says("Tell me a story.", top_p=1e-6, seed=seed, **hot)).answers[0].text for seed in (1, 2)}
    wide = {chat.answer(says("Tell me a story.", top_p=1.0, seed=seed, **hot)).answers[0].text for seed in (1, 2)}
    assert len(narrow) == 1
    assert len(wide) == 2


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_penalties_change_what_is_said(chat: Running, name: str) -> None:
    assert len({text(chat, **{name: penalty}) for penalty in (-2.0, 0.0, 2.0)}) == 3


def test_token_prompts_are_read_as_they_are(chat: Running) -> None:
    """Key of `Model.parameters`: token_prompts."""
    request = CompletionRequest(model="m", prompts=((504, 2240, 282, 4649),), sampling=Sampling(max_tokens=4))
    outcome = chat.answer(request)
    assert outcome.answers[0].text
    assert outcome.usage.prompt in (4, 5)


def test_token_prompts_and_texts_have_the_same_vectors(vectors: Running) -> None:
    hello = (101, 7592, 102)
    outcome = vectors.answer(EmbeddingRequest(model="m", inputs=("hello", hello)))
    spoken, ids = (array.array("f", vector) for vector in outcome.vectors)
    assert sum(one * other for one, other in zip(spoken, ids, strict=True)) == pytest.approx(1, abs=1e-3)
