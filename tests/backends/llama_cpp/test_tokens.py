"""The engine's tokenizer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from backends.errors import Refused
from backends.events import Tokens
from backends.requests import DetokenizeRequest, TokenizeRequest, Tool
from tests.backends.llama_cpp.conftest import Running, says

CITY = Tool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


def tokens(served: Running, request: TokenizeRequest) -> Tokens:
    found = served.answer(request).tokens
    assert found is not None
    return found


def text(served: Running, *ids: int) -> str:
    found = served.answer(DetokenizeRequest(model="m", tokens=ids)).tokens
    assert found is not None
    return found.text


@pytest.mark.engine
def test_a_text_and_back(chat: Running) -> None:
    found = tokens(chat, TokenizeRequest(model="m", prompt="Hello w\u00f6rld \U0001f600", strings=True))
    assert found.ids == (19556, 267, 29989, 400, 40303, 218)
    assert found.strings == ("Hello", " w", "\u00f6r", "ld", " \ufffd", "\ufffd")
    assert text(chat, *found.ids) == "Hello w\u00f6rld \U0001f600"
    assert tokens(chat, TokenizeRequest(model="m", prompt="")) == Tokens(())
    assert text(chat) == ""


@pytest.mark.engine
def test_special_tokens_are_added_or_not(vectors: Running) -> None:
    assert tokens(vectors, TokenizeRequest(model="m", prompt="hello")).ids == (101, 7592, 102)
    assert tokens(vectors, TokenizeRequest(model="m", prompt="hello", special=False)).ids == (7592,)


@pytest.mark.engine
@pytest.mark.parametrize("tools", [(), (CITY,)])
def test_a_chat_has_the_tokens_that_are_counted(chat: Running, tools: tuple[Tool, ...]) -> None:
    asked = says("How is it?", max_tokens=1, tools=tools)
    found = tokens(chat, TokenizeRequest(model="m", prompt=asked, special=False))
    assert len(found.ids) == chat.answer(asked).usage.prompt
    read = text(chat, *found.ids)
    assert read.endswith("How is it?<|im_end|>\n<|im_start|>assistant\n")
    assert ("weather" in read) is bool(tools)
    closed = replace(asked, extra={"add_generation_prompt": False})
    ended = tokens(chat, TokenizeRequest(model="m", prompt=closed)).ids
    assert text(chat, *ended).endswith("How is it?<|im_end|>\n")


@pytest.mark.engine
def test_ids_that_are_not_the_models_are_refused(chat: Running) -> None:
    for wrong in (49152, -1):
        with pytest.raises(Refused, match="49151") as refused:
            text(chat, 1, wrong)
        assert refused.value.param == "tokens"
