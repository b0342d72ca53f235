"""Who tells a model of its tools: its own template, or a system message of ours."""

from __future__ import annotations

from typing import Any

import pytest

from backends.choices.way import Way
from backends.requests import JsonObject, NamedTool, Tool
from backends.vllm.chat import about, shown
from backends.vllm.loaded import Template
from tests.backends.vllm.asking import says

TOOLS = (Tool(name="weather"), Tool(name="now"))
KNOWS, PLAIN = Template(tools=True), Template()


def way(*, reads: bool, **more: Any) -> Way:
    return Way.of(says("x", tools=TOOLS, **more), able=reads)


def test_a_model_with_markup_of_its_own_uses_it() -> None:
    native = way(reads=True)
    assert native.native
    assert not native.ours
    assert shown(native, KNOWS)
    assert about(native, KNOWS) == ""


def test_a_schema_leaves_no_room_for_it() -> None:
    held = way(reads=True, constraint=JsonObject())
    assert held.ours
    assert not shown(held, KNOWS)
    assert "<tool_call>" in about(held, KNOWS)


@pytest.mark.parametrize("choice", ["required", NamedTool("now")])
def test_forced_calls_are_by_grammar_and_shown_by_a_template_that_can(choice: Any) -> None:
    forced = way(reads=True, tool_choice=choice)
    assert forced.ours
    assert shown(forced, KNOWS)
    assert about(forced, KNOWS) == ""
    assert not shown(forced, PLAIN)
    assert "now" in about(forced, PLAIN)


def test_no_tools_are_not_told_of() -> None:
    none = way(reads=True, tool_choice="none")
    assert (none.native, none.ours, about(none, PLAIN)) == (False, False, "")
