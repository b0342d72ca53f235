"""Documents are cut where they may be: between sentences, below headings, never too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.documents.chunks import Chunk, Cutting, halves, split
from openai_proxy.documents.parsing.blocks import Block

SENTENCES = [f"This is the sentence number {number}." for number in range(20)]


def cut(blocks: list[Block], most: int = 100, overlap: int = 0) -> list[Chunk]:
    return list(Cutting(most, overlap).cut(blocks))


def test_sentences_stay_whole() -> None:
    found = cut([Block(" ".join(SENTENCES))])
    assert [chunk.text for chunk in found] == [" ".join(SENTENCES[at : at + 3]) for at in range(0, 20, 3)]


def test_the_end_of_the_last_one_is_read_again() -> None:
    found = cut([Block(" ".join(SENTENCES))], 100, 40)
    assert found[0].text == " ".join(SENTENCES[:3])
    assert found[1].text == " ".join(SENTENCES[2:5])


def test_a_heading_begins_anew_and_stands_above_what_follows() -> None:
    blocks = [Block("Top", 1), Block("Part", 2), *map(Block, SENTENCES[:6]), Block("Other", 2), Block(SENTENCES[6])]
    found = cut(blocks)
    assert found[0].text == "Top\nPart\n" + "\n".join(SENTENCES[:2])
    assert found[1].read == "Top > Part\n" + "\n".join(SENTENCES[2:5])
    assert found[-1] == Chunk("Other\n" + SENTENCES[6], "Top")


def test_a_piece_has_the_page_where_it_begins() -> None:
    found = cut([Block(each, 0, page) for page, each in enumerate(SENTENCES[:6], 1)], 80, 40)
    assert [(chunk.text[:30], chunk.page) for chunk in found][:2] == [
        (SENTENCES[0][:30], 1),
        (SENTENCES[1][:30], 3),
    ]


def test_what_has_no_sentences_is_cut_between_words() -> None:
    assert [chunk.text for chunk in cut([Block("word " * 50)], 52)] == [("word " * 10).strip()] * 5
    assert [chunk.text for chunk in cut([Block("x" * 100)], 40)] == ["x" * 40, "x" * 40, "x" * 20]


def test_halves_are_shorter() -> None:
    chunk = Chunk(" ".join(SENTENCES[:4]), "Above", 3)
    first, second = halves(chunk)
    assert (first.text, second.text, second.page) == (" ".join(SENTENCES[:2]), " ".join(SENTENCES[2:4]), 3)
    assert len(halves(Chunk("x" * 17))) == 2


@given(st.lists(st.text("ab .!\n", max_size=80), max_size=10), st.integers(1, 60), st.integers(0, 20))
def test_nothing_is_lost_or_too_long(texts: list[str], most: int, overlap: int) -> None:
    found = cut([Block(text, level=place % 3) for place, text in enumerate(texts)], most, min(overlap, most))
    assert all(len(chunk.text) <= most + 1 for chunk in found)
    whole = cut([Block(text) for text in texts], most)
    assert "".join("".join(chunk.text.split()) for chunk in whole) == "".join("".join(text.split()) for text in texts)
    parts = split("\n\n".join(texts), most)
    assert all(len(part) <= most + 1 for part in parts)
    assert "".join("".join(part.split()) for part in parts) == "".join("".join(text.split()) for text in texts)
