"""h2oGPT's keys as its Gradio clients send them, in one dict."""

from __future__ import annotations

from typing import Any

import pytest

from backends import Model
from backends.errors import Unsupported
from openai_proxy.documents.actions import EXTRACTION, Extract, Query, Summarize
from openai_proxy.errors import InvalidRequest, TooManyItems
from openai_proxy.h2ogpt import over
from openai_proxy.h2ogpt.actions import action_of
from openai_proxy.h2ogpt.blame import told
from openai_proxy.h2ogpt.reading import is_wish, read
from openai_proxy.h2ogpt.wish import Wish

MODEL = Model(kinds=frozenset({"chat"}), parameters=frozenset({"max_tokens", "temperature", "min_tokens"}))
TEXTS = ["one", "two"]


def wish(documents: bool = True, **given: Any) -> Wish:
    return read(given, "chat", MODEL, documents=documents)


def test_an_instruction_is_a_message() -> None:
    found = wish(instruction_nochat="Who?", iinput_nochat="And why?", instruction="Not this.", max_new_tokens=5)
    assert found.fields == {"messages": [{"role": "user", "content": "Who?\nAnd why?"}], "max_tokens": 5}
    assert (found.instruction, found.action, found.ignored) == ("Who?\nAnd why?", None, [])
    assert found.names == {"max_tokens": "max_new_tokens"}
    assert wish(instruction="Who?").instruction == "Who?"
    assert wish().fields["messages"] == [{"role": "user", "content": ""}]


def test_all_that_makes_messages() -> None:
    found = wish(
        instruction="Who?", system_prompt="Be brief.", chat_conversation=[("a", "b")], image_file="data:image/png,x"
    )
    assert [message["role"] for message in found.fields["messages"]] == ["system", "user", "assistant", "user"]
    text, shown = found.fields["messages"][3]["content"]
    assert (text["text"], shown["image_url"]["url"]) == ("Who?", "data:image/png,x")
    assert found.instruction == "Who?"


def test_who_asks_goes_nowhere() -> None:
    secrets: dict[str, Any] = {
        "user": "alice:wonder",
        "h2ogpt_key": "sk-1",
        "stream_output": True,
        "visible_models": ["a"],
    }
    found = wish(instruction="Who?", **secrets)
    assert found.fields.keys() == {"messages", "max_tokens"}
    assert (found.ignored, found.header) == ([], b"")


def test_the_keys_of_gradio_clients_are_taken() -> None:
    """All that the API has: what has an effect is not named."""
    given: dict[str, Any] = {
        **{"instruction_nochat": "Who?", "instruction": "No.", "iinput_nochat": "And why?", "stream_output": True},
        **{"max_tokens": 5, "temperature": 0.5, "seed": 1, "visible_models": 0, "h2ogpt_key": "sk-1"},
        **{"image_file": "data:image/png,x", "chat_conversation": [("a", "b")], "system_prompt": "Be brief."},
        **{"text_context_list": TEXTS, "langchain_action": "Extract", "prompt_extraction": "All."},
        **{"prompt_summary": "Sum up.", "loaders": ["a"], "nobody_knows_it": 1},
    }
    assert wish(**given).ignored == ["loaders", "nobody_knows_it", "prompt_summary", "seed"]


def test_what_has_no_effect_is_named() -> None:
    found = wish(
        instruction="Who?", chunk=True, top_k=4, top_p=0.5, min_new_tokens=3, hyde_template="", prompt_query="x"
    )
    assert found.ignored == ["chunk", "prompt_query", "top_k", "top_p"]
    assert found.header == b"chunk,prompt_query,top_k,top_p"
    assert found.fields["min_tokens"] == 3


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({}, Query("Who?")),
        ({"pre_prompt_query": "a", "prompt_query": ""}, Query("Who?", "a", "")),
        ({"langchain_action": "Summarize", "prompt_summary": "b"}, Summarize("Who?", after="b")),
        ({"langchain_action": "Summarize", "pre_prompt_summary": "a"}, Summarize("Who?", "a")),
        ({"langchain_action": "Extract"}, Extract("Who?", after=EXTRACTION)),
        ({"langchain_action": "Extract", "prompt_extraction": "c"}, Extract("Who?", after="c")),
        ({"langchain_action": "Extract", "pre_prompt_extraction": "d"}, Extract("Who?", "d")),
        ({"langchain_action": "Extract", "pre_prompt_summary": "e", "prompt_summary": "f"}, Extract("Who?", "e", "f")),
    ],
)
def test_actions_in_the_clients_words(given: dict[str, Any], action: Any) -> None:
    found = wish(instruction="Who?", text_context_list=TEXTS, **given)
    assert (action_of(found), found.texts, found.ignored) == (action, TEXTS, [])


def test_passages_are_the_clients_or_those_of_collections() -> None:
    found = wish(instruction="Who?", langchain_mode="MyData", top_k_docs=3)
    assert (found.action, found.collections, found.limit, found.ignored) == ("Query", ["MyData"], 3, [])
    assert wish(langchain_mode=["MyData", "LLM"], top_k_docs=-1).limit is None
    both = wish(text_context_list=TEXTS, langchain_mode="MyData")
    assert (both.texts, both.collections, both.ignored) == (TEXTS, (), ["langchain_mode"])
    none = wish(documents=False, langchain_mode="MyData", langchain_action="Extract")
    assert (none.action, none.collections, none.ignored) == (None, (), ["langchain_action", "langchain_mode"])
    with pytest.raises(InvalidRequest):
        action_of(none)


def test_what_is_refused_names_the_key() -> None:
    with pytest.raises(Unsupported) as refused:
        wish(use_agent=True)
    assert refused.value.param == "use_agent"
    with pytest.raises(Unsupported) as refused:
        wish(langchain_action="ImageGen")
    assert refused.value.param == "langchain_action"
    with pytest.raises(InvalidRequest) as invalid:
        wish(system_prompt=5)
    assert invalid.value.param == "system_prompt"


@pytest.mark.parametrize("value", [False, "False", "false", 0])
def test_no_sampling(value: Any) -> None:
    found = wish(do_sample=value, temperature=0.5)
    assert (found.fields["temperature"], found.names["temperature"]) == (0, "do_sample")
    assert wish(use_agent=value).ignored == []


@pytest.mark.parametrize("value", [True, "True", "true", 1, None, ""])
def test_sampling(value: Any) -> None:
    assert wish(do_sample=value, temperature=0.5).fields["temperature"] == 0.5


@pytest.mark.parametrize("name", ["do_sample", "use_agent"])
@pytest.mark.parametrize("value", ["maybe", 2, 0.5, [], {"a": 1}])
def test_neither_yes_nor_no(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} must be true or false") as refused:
        wish(**{name: value})
    assert refused.value.param == name


def test_errors_name_the_clients_keys() -> None:
    names = {"max_tokens": "max_new_tokens", "choice": "guided_choice", "messages.1.content.2": "image_file.0"}
    assert told("max_tokens: Expected `int`", "max_tokens", names) == (
        "max_new_tokens: Expected `int`",
        "max_new_tokens",
    )
    assert told("choice.1: Expected `str`", "choice.1", names) == ("guided_choice.1: Expected `str`", "guided_choice.1")
    place = "messages.1.content.2.image_url.url"
    assert told(f"{place} is no picture.", place, names) == ("image_file.0 is no picture.", "image_file.0")
    assert told("It is too long.", "max_tokens", names)[0] == "max_new_tokens: It is too long."
    for param in (None, "messages.1.content.21", "max_completion_tokens", "temperature"):
        assert told("max_tokens: No.", param, names) == ("max_tokens: No.", param)


def test_texts_are_bounded() -> None:
    assert len(wish(text_context_list=["a"] * over.TEXTS).texts) == over.TEXTS
    with pytest.raises(TooManyItems) as refused:
        wish(text_context_list=["a"] * (over.TEXTS + 1))
    assert refused.value.param == "text_context_list"


def test_whose_keys_they_are() -> None:
    assert is_wish({"langchain_mode": None})
    assert is_wish({"model": "a", "system_prompt": "b"})
    assert is_wish({"model": "a", "agent_of_tomorrow": "b"})
    assert not is_wish({"model": "a", "user": "b:c", "chat_template": "d", "h2ogpt_key": "e", "max_time": 1})
