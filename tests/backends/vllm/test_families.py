"""Each family's tool calls and reasoning through the parsers that it is given."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from backends.events import Call, extend_calls
from backends.vllm import compat
from backends.vllm.families import REASONING, USUAL_TOOLS, Signs, chosen
from backends.vllm.families import TOOLS as BY_FAMILY
from backends.vllm.loaded import Loaded, _parser
from backends.vllm.options import Options
from backends.vllm.pace import Pace
from backends.vllm.reading import Reader, Spelling
from tests.backends.vllm.families import CASES, FIRST, SECOND, TOOLS, Case

pytestmark = pytest.mark.vllm


def tokenizer(marks: tuple[str, ...]) -> Any:
    """One token a byte, and one a mark."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    own = tokenizers.Tokenizer(tokenizers.models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    own.decoder = tokenizers.decoders.ByteLevel()
    own.add_special_tokens(["<|end|>"])
    own.add_tokens([tokenizers.AddedToken(mark, special=False, normalized=False) for mark in marks])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=own, eos_token="<|end|>")


def own(case: Case) -> Loaded:
    library = compat.load()
    read = tokenizer(case.marks)
    tools, reasoning = chosen(library, Signs(case.model_type, case.template, frozenset(read.get_vocab())), Options())
    assert (tools, reasoning) == case.parsers
    return Loaded(
        library=library,
        client=SimpleNamespace(model_config=None),
        pace=Pace(0),
        kinds=frozenset({"chat"}),
        context=1000,
        vocabulary=1000,
        tokenizer=read,
        parser=_parser(library, tools, reasoning, "m"),
        reads_tools=tools is not None,
        reasons=reasoning is not None,
    )


def outputs(loaded: Loaded, case: Case, special: bool, size: int) -> list[Any]:
    """What the engine gives: so many tokens at a time, whole characters only."""
    ids = loaded.tokenizer.encode(case.said, add_special_tokens=False)
    made, begin, shown = [], 0, ""
    for end in range(1, len(ids) + 1):
        so_far = loaded.tokenizer.decode(ids[:end], skip_special_tokens=not special)
        if (end - begin >= size and not so_far.endswith("\ufffd")) or end == len(ids):
            made.append(SimpleNamespace(text=so_far[len(shown) :], token_ids=ids[begin:end]))
            begin, shown = end, so_far
    return made


def test_no_parser_is_chosen_that_is_not_tried_here() -> None:
    tools = {parser.name for usual in (*BY_FAMILY.values(), USUAL_TOOLS) for parser in usual}
    reasoning = {parser.name for usual in REASONING.values() for parser in usual}
    assert tools == {case.parsers[0] for case in CASES.values()} - {None}
    assert reasoning == {case.parsers[1] for case in CASES.values()} - {None}


def heard(case: Case, size: int) -> tuple[str, str, list[Call]]:
    """The text, the reasoning and the calls of what the model said, so many tokens at a time."""
    loaded = own(case)
    if loaded.parser is None:
        return case.said, "", []
    content, reasoning, calls = "", "", list[Call]()
    prompt = loaded.tokenizer.encode("Hi" + case.prompt, add_special_tokens=False)
    reader = Reader(loaded, {"prompt_token_ids": prompt}, {}, TOOLS if loaded.reads_tools else (), many=True)
    news = outputs(loaded, case, reader.special, size)
    for number, new in enumerate(news):
        piece = reader.read(new, finished=number == len(news) - 1)
        content, reasoning = content + piece.text, reasoning + piece.reasoning
        for tool in piece.tools:
            extend_calls(calls, tool)
    return content, reasoning, calls


SIZES = pytest.mark.parametrize("size", [1, 5, 10_000], ids=["token by token", "by five", "whole"])


@SIZES
@pytest.mark.parametrize("name", CASES)
def test_calls_and_reasoning_are_told_apart(name: str, size: int) -> None:
    case = CASES[name]
    content, reasoning, calls = heard(case, size)
    made = [(call.name, json.loads(call.arguments)) for call in calls]
    assert made == [("weather", value) for value in (FIRST, SECOND)[: case.calls]]
    assert (content.strip(), reasoning.strip()) == (case.content, case.reasoning)


@pytest.mark.parametrize("size", [1, 10_000], ids=["token by token", "whole"])
@pytest.mark.parametrize("name", ["granite4", "hermes3 on llama"])
def test_what_stands_between_calls_is_no_text_where_an_answer_is_cut(name: str, size: int) -> None:
    said = CASES[name].said
    second = said.rindex("\n<", 0, said.index("New"))  # the first call's end is just before
    for end in range(second, said.index("New")):
        content, _, calls = heard(structs.replace(CASES[name], said=said[:end]), size)
        assert (content, calls[0].name) == ("", "weather")


def test_words_after_a_call_keep_their_white_space() -> None:
    case = CASES["granite4"]
    told = case.said[: case.said.index("</tool_call>") + len("</tool_call>")] + "\n That is all.\n"
    content, _, calls = heard(structs.replace(case, said=told), 1)
    assert (content, len(calls)) == ("\n That is all.\n", 1)


WORDS = ("1 < 2, {so} [it] is.", '{"city": "R\u00f6m"}', "[1, 2]", "<b>R\u00f6m</b>")


@SIZES
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.parsers[1] is None])
def test_words_stay_words(name: str, size: int) -> None:
    for said in WORDS:
        content, reasoning, calls = heard(structs.replace(CASES[name], said=said), size)
        assert (content.strip(), reasoning, calls) == (said, "", [])


def test_what_came_at_once_is_told_token_by_token() -> None:
    loaded = own(CASES["internlm2"])
    end = loaded.tokenizer.eos_token_id
    r, o, umlaut, m = loaded.tokenizer.encode("R\u00f6m", add_special_tokens=False)
    spelling = Spelling(loaded, [r], special=False)
    assert spelling.spell("R", [r]) == [("R", [r])]
    assert spelling.spell("\u00f6m", [o, umlaut, m]) == [("", [o]), ("\u00f6", [umlaut]), ("m", [m])]
    assert spelling.spell("m", [m, end]) == [("m", [m]), ("", [end])]
    assert spelling.spell("what another made of it", [m, r]) == [("what another made of it", [m, r])]
