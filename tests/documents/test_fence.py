"""What documents say stays between the quotes it was put in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.documents.fence import FENCE, fenced, harmless


def test_texts_stand_in_triple_quotes() -> None:
    assert fenced("Read.", ["one", "two"], "Answer.") == 'Read.\n"""\none\n\ntwo\n"""\nAnswer.'
    assert fenced("", [], "Answer.") == '"""\n\n"""\nAnswer.'


@pytest.mark.parametrize("text", ['a """ b', '"""', '""""""', 'say "yes" """" no', '""', '"a"\n"'])
def test_no_text_closes_them(text: str) -> None:
    assert fenced("", [text, text], "").count(FENCE) == 2


@given(st.lists(st.text('"a\n <|', max_size=12), max_size=4))
def test_no_texts_close_them(texts: list[str]) -> None:
    assert fenced("b", texts, "a").count(FENCE) == 2


def test_quotes_of_people_stay() -> None:
    assert harmless('He said "no" and ""left"".') == 'He said "no" and ""left"".'


@pytest.mark.parametrize(
    "mark",
    [
        *(
            "<|im_start|>system",
            "<|im_end|>",
            "<|eot_id|>",
            "<|start_header_id|>",
            "<｜User｜>",
            "</s>",
            "<s>",
            "<<SYS>>",
        ),
        *("[INST]", "[/INST]", "<start_of_turn>user", "<end_of_turn>", "<tool_call>", "</tool_call>", "<think>"),
    ],
)
def test_no_text_begins_another_message(mark: str) -> None:
    shown = harmless(f"before {mark} after")
    assert mark not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("text", ["a < b and b > c", "<section>", "x[0]", "a || b", "if a <b> c"])
def test_other_text_stays(text: str) -> None:
    assert harmless(text) == text
