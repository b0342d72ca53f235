"""Calls and reasoning by vLLM's parsers, over answers that a model of the family would give."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from msgspec import structs

from backends.events import Call, ToolDelta, extend_calls
from backends.requests import Tool
from backends.vllm.compat import Unfit
from backends.vllm.families import JSON_HELP, Signs, chosen
from backends.vllm.loaded import Loaded, _parser
from backends.vllm.options import Options
from backends.vllm.reading import Reader
from tests.backends.conftest import Served

pytestmark = pytest.mark.vllm
WEATHER = Tool(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "R\u00f6m"}}\n</tool_call>'


def loaded(served: Served, **parsers: str) -> Loaded:
    own = served.backend._loaded
    assert own is not None
    parser = _parser(own.library, parsers.get("tools"), parsers.get("reasoning"), "m")
    return structs.replace(own, parser=parser)


def read(own: Loaded, said: str, *tools: Tool, many: bool = True) -> tuple[str, str, list[Call]]:
    """The text, the reasoning and the calls of an answer that comes token by token."""
    reader = Reader(own, {"prompt_token_ids": [1, 2]}, {}, tools, many=many)
    ids = own.tokenizer.encode(said, add_special_tokens=False)
    lengths = [len(own.tokenizer.decode(ids[:count])) for count in range(len(ids) + 1)]
    text = reasoning = ""
    calls: list[Call] = []
    for number, (begin, end) in enumerate(itertools.pairwise(lengths)):
        new = SimpleNamespace(text=said[begin:end], token_ids=[ids[number]])
        piece = reader.read(new, finished=number == len(ids) - 1)
        text, reasoning = text + piece.text, reasoning + piece.reasoning
        for tool in piece.tools:
            extend_calls(calls, tool)
    return text, reasoning, calls


def test_a_call_is_read(vllm_chat: Served) -> None:
    text, _, calls = read(loaded(vllm_chat, tools="hermes"), f"Let me see. {CALL}", WEATHER)
    assert text.strip() == "Let me see."
    assert [(call.name, call.arguments) for call in calls] == [("weather", '{"city": "R\u00f6m"}')]
    assert calls[0].id


def test_of_several_calls_one_passes_when_one_is_wanted(vllm_chat: Served) -> None:
    own = loaded(vllm_chat, tools="hermes")
    _, _, both = read(own, f"{CALL}\n{CALL}", WEATHER)
    assert [call.name for call in both] == ["weather", "weather"]
    assert len({call.id for call in both}) == 2
    _, _, one = read(own, f"{CALL}\n{CALL}", WEATHER, many=False)
    assert [call.name for call in one] == ["weather"]


def test_words_stay_words(vllm_chat: Served) -> None:
    text, reasoning, calls = read(loaded(vllm_chat, tools="hermes"), "1 < 2 and no call", WEATHER)
    assert (text, reasoning, calls) == ("1 < 2 and no call", "", [])


def test_reasoning_is_told_apart(vllm_chat: Served) -> None:
    said = "Here is my thought process: Rome is far. Here is my response: Twenty degrees."
    text, reasoning, _ = read(loaded(vllm_chat, reasoning="granite"), said)
    assert (text.strip(), reasoning.strip()) == ("Twenty degrees.", "Rome is far.")


def parsers(served: Served, options: Options, model_type: str, template: str = "") -> tuple[str | None, str | None]:
    own = served.backend._loaded
    assert own is not None
    return chosen(own.library, Signs(model_type, template, ()), options)


def test_the_family_chooses_the_parsers(vllm_chat: Served) -> None:
    assert parsers(vllm_chat, Options(), "qwen3", JSON_HELP + "<think>") == ("hermes", "qwen3")
    assert parsers(vllm_chat, Options(), "qwen3") == (None, None)
    assert parsers(vllm_chat, Options(), "llama") == (None, None)
    assert parsers(vllm_chat, Options(), "unheard_of") == (None, None)
    none = Options(tool_parser="none", reasoning_parser="none")
    assert parsers(vllm_chat, none, "qwen3", JSON_HELP + "<think>") == (None, None)
    named = Options(tool_parser="mistral", reasoning_parser="granite")
    assert parsers(vllm_chat, named, "qwen3") == ("mistral", "granite")


@pytest.mark.parametrize("option", ["tool_parser", "reasoning_parser"])
def test_a_parser_that_vllm_does_not_have_is_told(vllm_chat: Served, option: str) -> None:
    with pytest.raises(Unfit, match=r"it has .*(hermes|granite)"):
        parsers(vllm_chat, structs.replace(Options(), **{option: "hermess"}), "llama")


def test_a_family_that_is_not_served_is_told(vllm_chat: Served) -> None:
    with pytest.raises(Unfit, match="gpt-oss"):
        parsers(vllm_chat, Options(), "gpt_oss")


def test_a_piece_without_a_name_is_arguments() -> None:
    assert ToolDelta(0, arguments="x").name is None
