"""Who tells a model of its tools: its own template, or a system message of ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backends.requests import JsonObject, NamedTool, Tool
from backends.vllm.chat import Way
from backends.vllm.loaded import Template
from tests.backends.vllm.asking import says

TOOLS = (Tool(name="weather"), Tool(name="now"))
KNOWS, PLAIN = Template(tools=True), Template()


def way(*, reads: bool, **more: Any) -> Way:
    loaded: Any = SimpleNamespace(reads_tools=reads)
    return Way.of(says("x", tools=TOOLS, **more), loaded)


def test_a_model_with_markup_of_its_own_uses_it() -> None:
    native = way(reads=True)
    assert native.native
    assert not native.ours
    assert native.shown(KNOWS)
    assert native.about(KNOWS) == ""


def test_a_schema_leaves_no_room_for_it() -> None:
    held = way(reads=True, constraint=JsonObject())
    assert held.ours
    assert not held.shown(KNOWS)
    assert "<tool_call>" in held.about(KNOWS)


@pytest.mark.parametrize("choice", ["required", NamedTool("now")])
def test_forced_calls_are_by_grammar_and_shown_by_a_template_that_can(choice: Any) -> None:
    forced = way(reads=True, tool_choice=choice)
    assert forced.ours
    assert forced.shown(KNOWS)
    assert forced.about(KNOWS) == ""
    assert not forced.shown(PLAIN)
    assert "now" in forced.about(PLAIN)


def test_no_tools_are_not_told_of() -> None:
    none = way(reads=True, tool_choice="none")
    assert (none.native, none.ours, none.about(PLAIN)) == (False, False, "")
