"""Blocks -> the pieces that are found one by one: by headings, paragraphs and sentences, each with the end of the last.

Sizes are in characters: how many make a token of the model that reads them is its caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from openai_proxy.documents.parsing.blocks import Block

SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n")
# A heading begins a new piece where the last one has this share of its size.
WORTH = 0.25
DEEPEST = 7


class Chunk(Struct, frozen=True):
    """Text that is found together. `headings` are those above its beginning; `page` is where it begins, 0: none."""

    text: str
    headings: str = ""
    page: int = 0

    @property
    def read(self) -> str:
        """What the model reads: a text says more below its headings."""
        return f"{self.headings}\n{self.text}" if self.headings else self.text


class Unit(NamedTuple):
    """A sentence or a heading: what is not cut, unless it is too long by itself. `ends`: a paragraph ends with it."""

    text: str
    page: int
    ends: bool


class Cutting:
    """Pieces of at most `most` characters, which begin with up to `overlap` of the one before."""

    def __init__(self, most: int, overlap: int) -> None:
        self.most = most
        self.overlap = overlap
        self.path: list[str] = [""] * DEEPEST
        self.units: list[Unit] = []
        self.size = 0
        self.carried = 0
        self.above = ""

    def cut(self, blocks: Iterable[Block]) -> Iterator[Chunk]:
        for block in blocks:
            if block.level:
                yield from self._heading(block)
            else:
                for unit in _units(block, self.most):
                    yield from self._take(unit)
        yield from self._done()

    def _heading(self, block: Block) -> Iterator[Chunk]:
        if self.size >= WORTH * self.most:
            yield from self._done()
        if len(self.units) == self.carried:
            self._begin([])
        self.path[block.level - 1 :] = [block.text, *[""] * (DEEPEST - block.level)]
        for unit in _units(block, self.most):
            yield from self._take(unit)

    def _take(self, unit: Unit) -> Iterator[Chunk]:
        if self.size + len(unit.text) > self.most:
            last = self.units
            yield from self._done()
            self._carry(last, self.most - len(unit.text))
        if not self.units:
            self.above = self._above(unit.text)
        self.units.append(unit)
        self.size += len(unit.text) + 1

    def _above(self, first: str) -> str:
        """The headings above, without one that the text begins with, and never more than half of it all."""
        return " > ".join(each for each in self.path if each and each != first)[-self.most // 2 :]

    def _carry(self, last: list[Unit], room: int) -> None:
        """Begin with the last sentences, as many as may be in both."""
        room, first = min(room, self.overlap), len(last)
        while first and (room := room - len(last[first - 1].text) - 1) >= 0:
            first -= 1
        self._begin(last[first:])
        if self.units:
            self.above = self._above(self.units[0].text)

    def _begin(self, units: list[Unit]) -> None:
        """With what the last piece ended with."""
        self.units, self.carried = units, len(units)
        self.size = sum(len(unit.text) + 1 for unit in units)

    def _done(self) -> Iterator[Chunk]:
        if len(self.units) > self.carried:
            text = "".join(unit.text + ("\n" if unit.ends else " ") for unit in self.units)
            yield Chunk(text.strip(), self.above, self.units[self.carried].page)
        self._begin([])


def _units(block: Block, most: int) -> Iterator[Unit]:
    sentences = [each.strip() for each in SENTENCE.split(block.text) if each and each.strip()]
    parts = [part for each in sentences for part in _parts(each, most)]
    for place, part in enumerate(parts, 1):
        yield Unit(part, block.page, place == len(parts))


def _parts(text: str, most: int) -> Iterator[str]:
    """A sentence that is too long, cut between words where it has any."""
    begin = 0
    while len(text) - begin > most:
        place = text.rfind(" ", begin + most // 2, begin + most)
        end = begin + most if place < 0 else place
        yield text[begin:end].strip()
        begin = end
        while text[begin : begin + 1].isspace():
            begin += 1
    if begin < len(text):
        yield text[begin:].strip()


def halves(chunk: Chunk) -> list[Chunk]:
    """Two of about half its size."""
    cut = Cutting(max(1, (len(chunk.text) + 1) // 2 + 1), 0)
    blocks = [Block(line, 0, chunk.page) for line in chunk.text.split("\n")]
    return [Chunk(each.text, chunk.headings[: len(chunk.headings) // 2], chunk.page) for each in cut.cut(blocks)]


def split(text: str, most: int) -> list[str]:
    """A text as pieces of at most `most` characters, in order and without overlap."""
    blocks = [Block(paragraph) for paragraph in text.split("\n\n") if paragraph.strip()]
    return [chunk.text for chunk in Cutting(max(1, most), 0).cut(blocks)]
