from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backends.choices.calls import Calls, WholeArguments
from backends.choices.choice import Scanner
from backends.events import Call, ToolDelta, extend_calls

Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["</tool_call>", '{"', "}\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
Made = st.lists(
    st.tuples(st.sampled_from(["f", "get_weather"]), st.dictionaries(st.text(max_size=4), Json)), max_size=3
)
Plain = st.text(alphabet="ab <tol_cal>\n", max_size=20).filter(lambda text: "<tool_call>" not in text)


def pieces(text: str, cuts: list[int]) -> list[str]:
    at = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(at)]


def read(scanner: Scanner, parts: list[str]) -> tuple[str, list[Call]]:
    text, calls = "", list[Call]()
    for item in [item for part in parts for item in scanner.feed(part)] + scanner.flush():
        if isinstance(item, ToolDelta):
            extend_calls(calls, item)
        else:
            text += item
    return text, calls


def written(name: str, arguments: object) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {json.dumps(arguments, ensure_ascii=False)}}}'


def same(calls: list[Call], made: list[tuple[str, dict[str, object]]]) -> bool:
    return [(call.name, json.loads(call.arguments)) for call in calls] == made


@given(Plain, Made, st.lists(st.integers(0, 999)))
def test_marked_calls_are_found_whatever_the_pieces(
    before: str, made: list[tuple[str, dict[str, object]]], cuts: list[int]
) -> None:
    text = before + "\n".join(f"<tool_call>{written(*call)}</tool_call>" for call in made)
    said, calls = read(Calls(markup=True), pieces(text, cuts))
    assert said == before
    assert same(calls, made)


@given(Made.filter(bool), st.lists(st.integers(0, 999)))
def test_bare_calls_are_found_whatever_the_pieces(made: list[tuple[str, dict[str, object]]], cuts: list[int]) -> None:
    text = "[" + ", ".join(written(*call) for call in made) + "]"
    said, calls = read(Calls(markup=False), pieces(text, cuts))
    assert said == ""
    assert same(calls, made)


def test_id_and_name_come_once_and_whole() -> None:
    scanner = WholeArguments("f")
    first, second = [item for part in ("{", "", "}") for item in scanner.feed(part)]
    assert isinstance(first, ToolDelta)
    assert (first.name, first.arguments) == ("f", "{")
    assert second == ToolDelta(0, arguments="}")


def test_what_would_have_led_to_another_call_is_no_text() -> None:
    call = f"<tool_call>{written('f', {})}</tool_call>"
    for led in ("\n", " \n\n", *("\n<tool_call>"[:length] for length in range(2, 13)), "<t"):
        for parts in ([call, led], [call, *led], [call + led], [call, f"\n{call}", led]):
            said, calls = read(Calls(markup=True), parts)
            assert (said, len(calls)) == ("", 1 + (len(parts) == 3 and parts[1] != led[0]))
    for words in ("\n<tools", "\n<b", " a <tool", "\n< "):
        assert read(Calls(markup=True), [call, words])[0] == words
    assert read(Calls(markup=True), ["no call\n<tool"])[0] == "no call\n<tool"


def test_text_after_a_call_is_passed_on() -> None:
    said, calls = read(Calls(markup=True), [f"<tool_call>{written('f', {})}</tool_call>", "\n done <tool"])
    assert said == "\n done <tool"
    assert len(calls) == 1
