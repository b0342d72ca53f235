"""The tokenizers of real models."""

from __future__ import annotations

from typing import Any

import pytest

from backends.errors import Refused
from backends.events import Tokens
from backends.requests import ChatRequest, DetokenizeRequest, Message, Text, TokenizeRequest, Tool
from tests.backends.conftest import Served
from tests.backends.vllm.asking import says

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
CITY = Tool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
LETTER = (
    Message(role="user", parts=(Text("Write a letter."),)),
    Message(role="assistant", parts=(Text("Dear Sir,"),)),
)


def tokens(served: Served, prompt: str | ChatRequest, **more: Any) -> Tokens:
    found = served.answer(TokenizeRequest(model="m", prompt=prompt, **more)).tokens
    assert found is not None
    return found


def text(served: Served, ids: tuple[int, ...]) -> str:
    found = served.answer(DetokenizeRequest(model="m", tokens=ids)).tokens
    assert found is not None
    return found.text


def test_a_text_and_back(vllm_chat: Served) -> None:
    found = tokens(vllm_chat, "Hello w\u00f6rld \U0001f600", strings=True)
    assert found.ids == (19556, 267, 29989, 400, 40303, 218)
    assert (found.strings or ())[:2] == ("Hello", "\u0120w")
    assert text(vllm_chat, found.ids) == "Hello w\u00f6rld \U0001f600"
    assert tokens(vllm_chat, "hello").strings is None
    assert tokens(vllm_chat, "") == Tokens(())
    assert text(vllm_chat, ()) == ""
    assert len(tokens(vllm_chat, "word " * 5000).ids) > 5000


def test_special_tokens_are_added_or_not(vllm_pairs: Served) -> None:
    assert tokens(vllm_pairs, "hello").ids == (101, 7592, 102)
    assert tokens(vllm_pairs, "hello", special=False).ids == (7592,)
    assert text(vllm_pairs, (101, 7592, 102)) == "[CLS] hello [SEP]"


@pytest.mark.parametrize("tools", [(), (CITY,)])
def test_a_chat_has_the_tokens_that_are_counted(vllm_chat: Served, tools: tuple[Tool, ...]) -> None:
    asked = says("How is it?", max_tokens=1, tools=tools)
    found = tokens(vllm_chat, asked, special=False)
    assert len(found.ids) == vllm_chat.answer(asked).usage.prompt
    read = text(vllm_chat, found.ids)
    assert read.endswith("How is it?<|im_end|>\n<|im_start|>assistant\n")
    assert ("weather" in read) is bool(tools)


def test_how_a_chat_ends(vllm_chat: Served) -> None:
    """The parameter continue_final_message."""

    def ending(**extra: Any) -> str:
        return text(vllm_chat, tokens(vllm_chat, says("", messages=LETTER, extra=extra), special=False).ids)

    assert ending().endswith("Dear Sir,<|im_end|>\n<|im_start|>assistant\n")
    assert ending(add_generation_prompt=False).endswith("Dear Sir,<|im_end|>\n")
    assert ending(continue_final_message=True).endswith("Dear Sir,")


def test_values_for_the_template(vllm_chat: Served) -> None:
    """The parameter chat_template_kwargs: values that a template has no use for change nothing."""
    asked = says("hi", extra={"chat_template_kwargs": {"mood": "good"}})
    assert tokens(vllm_chat, asked) == tokens(vllm_chat, says("hi"))


def test_ids_that_are_not_the_models_are_refused(vllm_chat: Served) -> None:
    for wrong in (49152, -1):
        with pytest.raises(Refused, match="49151") as refused:
            text(vllm_chat, (1, wrong))
        assert refused.value.param == "tokens"
