"""Regular expressions are in the engine's syntax: what is none is refused before a stream begins."""

from __future__ import annotations

import pytest

from backends.constraints import constraint
from backends.constraints.compile import Job, compiled
from backends.requests import Regex

pytest.importorskip("llguidance")


def error(pattern: str) -> str:
    return compiled(Job("lark", constraint.rules("start", Regex(pattern)))).error


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", "\\", "(?P<x>a)(?P<x>b)", "a{99999999999999999999}"])
def test_what_is_no_pattern(pattern: str) -> None:
    assert error(pattern)


def test_an_anchor_stands_at_the_very_end() -> None:
    assert constraint.rules("start", Regex("a$")) == "start: /a/\n"
    assert constraint.rules("start", Regex("a$\n")) == "start: /a$\\n/\n"


@pytest.mark.parametrize("pattern", [r"\p{L}+", "[0-9]{3}-[0-9]{4}", "(?i)yes|no", r"[\s\S]*", '[^"\\\\]+'])
def test_patterns_of_the_engine(pattern: str) -> None:
    assert not error(pattern)
