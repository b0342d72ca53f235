"""What a client tells the chat template: its own values, and none that would take the place of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from backends.errors import Refused
from backends.events import Tokens
from backends.requests import ChatRequest, TokenizeRequest
from backends.vllm.loaded import Loaded, Template
from backends.vllm.prompts import template_values
from tests.backends.conftest import Served
from tests.backends.vllm.asking import says

TAKEN = ("self", "tokenizer", "model_config", "conversation", "conversations", "tools", "return_dict", "args")


def told(**values: Any) -> ChatRequest:
    return says("Hi", max_tokens=1, extra={"chat_template_kwargs": values})


def refusal(values: dict[str, Any], template: Template) -> str | None:
    with pytest.raises(Refused, match="is not for the template to be told") as refused:
        template_values(told(**values), template, ())
    return refused.value.param


class Inner:
    """A tokenizer."""

    chat_template = "{{ messages }}"

    def apply_chat_template(self, conversation: Any, documents: Any = None, inmost: Any = None, **values: Any) -> str:
        return ""


class Outer(Inner):
    """One that lends another, as vLLM's do."""

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> str:
        return ""


class Renderer:
    """Takes a name of its own."""

    def _apply_chat_template(self, params: Any) -> str:
        return ""


def safe_apply_chat_template(own_to_this_module: Any) -> str:
    """Where vLLM's renderers have theirs."""
    return str(own_to_this_module)


def test_names_of_every_function_on_the_way_are_reserved() -> None:
    template = Template.of(None, Outer(), Renderer())
    assert template is not None
    for name in ("self", "conversation", "inmost", "params", "own_to_this_module"):
        assert refusal({name: 1}, template) == f"chat_template_kwargs.{name}"
    values = {"documents": [{"text": "a"}], "mood": 1}
    assert template_values(told(**values), template, ()) == values
    assert template_values(told(documents=None), template, ()) == {"documents": None}


@pytest.mark.parametrize("name", ["", "a b", "1", "a-b", "{{", "_citations", "x" * 300 + " "])
def test_names_are_a_templates_variables(name: str) -> None:
    assert refusal({name: 1}, Template()) == "chat_template_kwargs"


@pytest.mark.parametrize("wrong", [1, "text", {"text": "a"}, [1], [{"text": "a"}, "b"]])
def test_documents_are_objects(wrong: Any) -> None:
    with pytest.raises(Refused, match="must be a list of objects") as refused:
        template_values(told(documents=wrong), Template(), ())
    assert refused.value.param == "chat_template_kwargs.documents"


def loaded(served: Served) -> Loaded:
    own = served.backend._loaded
    assert own is not None
    return own


@pytest.fixture
def quoting(vllm_chat: Served) -> Iterator[Served]:
    """With a template that stumbles over some values."""
    own = loaded(vllm_chat)
    assert own.template is not None
    text = "{{ messages[0]['content'] }}{% for each in documents or more or [] %}{{ each['text'] }}{% endfor %}"
    vllm_chat.backend._loaded = structs.replace(own, template=structs.replace(own.template, text=text))
    yield vllm_chat
    vllm_chat.backend._loaded = own


def words(served: Served, request: ChatRequest) -> Tokens:
    found = served.answer(TokenizeRequest(model="m", prompt=request, special=False)).tokens
    assert found is not None
    return found


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("name", TAKEN)
def test_what_vllm_takes_is_refused(vllm_chat: Served, name: str) -> None:
    request = told(**{name: 1})
    for asked in (request, TokenizeRequest(model="m", prompt=request)):
        with pytest.raises(Refused, match="is not for the template to be told") as refused:
            vllm_chat.answer(asked)
        assert refused.value.param == f"chat_template_kwargs.{name}"


@pytest.mark.vllm
@pytest.mark.slow
def test_documents_reach_the_template(quoting: Served) -> None:
    given = words(quoting, told(documents=[{"text": " one"}, {"text": " two"}]))
    assert len(given.ids) == len(words(quoting, says("Hi")).ids) + 2


@pytest.mark.vllm
@pytest.mark.slow
def test_values_that_a_template_stumbles_over_are_told(quoting: Served) -> None:
    for asked in (told(more=1), TokenizeRequest(model="m", prompt=told(more=True))):
        with pytest.raises(Refused) as refused:
            quoting.answer(asked)
        assert refused.value.param == "chat_template_kwargs"


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("error", [TypeError, KeyError, ValueError])
def test_what_any_renderer_raises_is_the_clients(
    vllm_chat: Served, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    async def stumble(*_: object) -> None:
        raise error("of Python")

    monkeypatch.setattr(loaded(vllm_chat).client.renderer, "render_chat_async", stumble)
    with pytest.raises(Refused, match="does not take these") as refused:
        vllm_chat.answer(told(more=1))
    assert refused.value.param == "chat_template_kwargs"
    with pytest.raises(Refused if error is ValueError else error):
        vllm_chat.answer(says("Hi"))
