"""What is cut, and what is too long, which is told with the numbers."""

from __future__ import annotations

import pytest

from backends import Model
from backends.errors import ContextExceeded, Refused
from backends.length import CHARACTERS_A_TOKEN, READ_A_TOKEN, check_chat, check_prompt, cut, kept
from backends.requests import ChatRequest, Message, Prompt, Text

MODEL = Model(kinds=frozenset({"embedding"}), context=8, vocabulary=100)
MOST = 8 * CHARACTERS_A_TOKEN


def test_how_many_tokens_are_kept() -> None:
    """The parameter truncate_prompt_tokens."""
    assert kept(None, MODEL, 3) is None
    assert kept(-1, MODEL, 3) == 8
    assert (kept(3, MODEL, 3), kept(8, MODEL, 3)) == (3, 8)
    for wrong in (0, 2, 9):
        with pytest.raises(Refused, match="3 to 8") as refused:
            kept(wrong, MODEL, 3)
        assert refused.value.param == "truncate_prompt_tokens"
    assert kept(10**6, Model(kinds=frozenset()), 1) == 10**6


def test_a_cut_is_generous_with_text_and_exact_with_tokens() -> None:
    long = "x" * 1000
    assert cut(long, MODEL, "input", 4) == "x" * 4 * READ_A_TOKEN
    assert cut((1, 2, 3), MODEL, "input", 2) == (1, 2)
    assert cut("x", MODEL, "input", None) == "x"
    with pytest.raises(ContextExceeded):
        cut(long, MODEL, "input", None)
    with pytest.raises(Refused):
        cut((100,), MODEL, "input", 2)


@pytest.mark.parametrize(("prompt", "numbers"), [("a" * (MOST + 1), (8, MOST + 1)), ((1,) * 9, (8, 9))])
def test_a_long_prompt_is_refused_with_the_numbers(prompt: Prompt, numbers: tuple[int, int]) -> None:
    with pytest.raises(ContextExceeded) as refused:
        check_prompt(prompt, MODEL, "prompt")
    assert refused.value.param == "prompt"
    assert all(str(number) in refused.value.message for number in numbers)
    check_prompt(prompt[1:], MODEL, "prompt")


def test_a_long_chat_is_refused_with_the_numbers() -> None:
    messages = (Message(role="user", parts=(Text("a" * MOST),)), Message(role="user", parts=(Text("a"),)))
    with pytest.raises(ContextExceeded, match=rf"at most 8 tokens; messages has {MOST + 1} characters"):
        check_chat(ChatRequest(model="m", messages=messages), MODEL)
    check_chat(ChatRequest(model="m", messages=messages[:1]), MODEL)


@pytest.mark.parametrize("token", [-1, 100])
def test_an_id_that_is_not_the_models_is_refused(token: int) -> None:
    with pytest.raises(Refused, match="from 0 to 99"):
        check_prompt((token,), MODEL, "prompt")
