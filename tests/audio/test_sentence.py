"""Text cut for speech: where a reader would take a breath, and nothing lost."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio import sentences

SPLIT = [
    "Dr. Smith went to Washington. | He met Mr. Jones at 5 p.m. | The end.",
    "We use e.g. Python. | It costs $3.14 or 1,000. | Next, i.e. now.",
    "The U.S. Army is big. | He lives in the U.S. | He likes it.",
    "J. R. R. Tolkien wrote. | John F. Kennedy spoke. | Vitamin C. | The plan.",
    "He has a Ph.D. from MIT. | On Jan. 5 it rained, etc. | The sun. | Birds sang.",
    "He said: no. | No. 5 is alive. | See fig. 3 for art. | Enough.",
    "Wait... what? | Well... | Then he left… and came.",
    '"Stop!" he said. | "Go." | (He left.) | “Quoted text.” | Next ‘one?’ | Two.',
    "See https://example.com/a.b?x=1.2!y now. | Write to a.b@example.org. | Done.",
    "It grew by 2.5. | 3 remain. | Version 1.2.3 is out!",
    "3. Third. | 4. Fourth.",
    "Really?! | Yes!!! | 😀 Fine.",
    "¿Qué? | ¡Hola! | Él vino. | Это он. | Привет!",
    "hello there. | how are you? | fine",
    "A capital. then not the end of it. | Yes.",
    "नमस्ते। | कैसे हो? | مرحبا؟ | نعم.",
]
BLOCKS = [
    ("Shopping:\n- milk\n- eggs. And more\n1. First item\n2. Second.\n\nEnd", 7),
    ("A title\nThen text", 2),
    ("one line,\ngoing on\nand on", 1),
    (f"{'many words in a line ' * 4}\nIs wrapped", 1),
    ("para one\n\npara two\r\n\r\npara three\x0bmore", 3),
    ("你好。今天天气很好！是吗？「行く。」と言った。３．１４です。終わり", 7),
    ("Hi. *** --- !!! ok", 2),
]


def bare(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("marked", SPLIT)
def test_sentences(marked: str) -> None:
    wanted = marked.split(" | ")
    assert sentences(" ".join(wanted)) == wanted


@pytest.mark.parametrize(("text", "number"), BLOCKS)
def test_lines_and_other_scripts(text: str, number: int) -> None:
    assert len(sentences(text)) == number, sentences(text)


@pytest.mark.parametrize("text", ["", " ", "\n\n \t", "\u3000"])
def test_nothing_to_say(text: str) -> None:
    assert sentences(text) == []


def test_a_long_sentence_is_cut_at_its_clauses_then_between_words() -> None:
    text = "If it rains tomorrow, which it may, we stay; otherwise we walk along the river until it is dark"
    assert sentences(text, 45) == [
        "If it rains tomorrow, which it may, we stay;",
        "otherwise we walk along the river until it",
        "is dark",
    ]
    assert sentences("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert sentences("今天，天气很好、我们去公园散步", 8) == ["今天，天气很好、", "我们去公园散步"]


def test_a_cut_leaves_seen_characters_whole() -> None:
    assert [piece for piece in sentences("ae\u0301" * 40, 4) if piece[0] == "\u0301"] == []


def test_the_first_piece_may_be_kept_short() -> None:
    text = "Well, this is a sentence, and it is a long one. And so on."
    assert sentences(text, 100, first=30) == ["Well, this is a sentence,", "and it is a long one.", "And so on."]


MARKS = '. ! ? … 。 ， , ; ) " ” - — \n \n\n e.g. U.S. Dr. No. 3.14 1. a B. word Word 你 \u0301 \u200d'
PIECES = st.sampled_from([*re.split(" ", MARKS), " ", "  "])


@given(
    st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=80).map("".join)), st.integers(1, 60), st.integers(1, 60)
)
@example("a. \x1c b\x85c", 5, 5)
def test_nothing_is_lost_and_nothing_is_long(text: str, longest: int, first: int) -> None:
    found = sentences(text, longest, first)
    assert bare("".join(found)) == bare(text)
    assert all(0 < len(piece) <= longest and piece == piece.strip() for piece in found)
    assert len(found[0] if found else "") <= first


@pytest.mark.parametrize(
    "text",
    ["a. ", ".", "A ", "\n", "x", ". ' ", "I. ", '"', "a\n", ".' ", "1) ", "，", "-", "\u0301", "! ", "(", "e.g. "],
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    sentences(text * 50_000)
    assert time.process_time() - begun < 5
