"""What is cut, and what is too long."""

from __future__ import annotations

import pytest

from backends import Model
from backends.errors import ContextExceeded, Refused
from backends.length import READ_A_TOKEN, cut, kept

MODEL = Model(kinds=frozenset({"embedding"}), context=8, vocabulary=100)


def test_how_many_tokens_are_kept() -> None:
    """The parameter truncate_prompt_tokens."""
    assert kept(None, MODEL, 3) is None
    assert kept(-1, MODEL, 3) == 8
    assert (kept(3, MODEL, 3), kept(8, MODEL, 3)) == (3, 8)
    for wrong in (0, 2, 9):
        with pytest.raises(Refused, match="3 to 8") as refused:
            kept(wrong, MODEL, 3)
        assert refused.value.param == "truncate_prompt_tokens"
    assert kept(10**6, Model(kinds=frozenset()), 1) == 10**6


def test_a_cut_is_generous_with_text_and_exact_with_tokens() -> None:
    long = "x" * 1000
    assert cut(long, MODEL, "input", 4) == "x" * 4 * READ_A_TOKEN
    assert cut((1, 2, 3), MODEL, "input", 2) == (1, 2)
    assert cut("x", MODEL, "input", None) == "x"
    with pytest.raises(ContextExceeded):
        cut(long, MODEL, "input", None)
    with pytest.raises(Refused):
        cut((100,), MODEL, "input", 2)
