"""What is read of a document, and what says that it cannot be."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, NamedTuple, TypeAlias

# What is told of a file that cannot be read: it is damaged or too large, or of a kind that is not read.
Fault: TypeAlias = Literal["invalid_file", "unsupported_file"]
# Line ends and tabs are blanks like others; the rest is for machines: terminals, writing directions, marks in fonts,
# and a second alphabet that only models read.
INVISIBLE = re.compile(
    r"[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffe\U000e0000-\U000e0fff]"
)
# How a sentence ends.
ENDED = re.compile(r"[.!?:;,…。！？][\"'”’)\]]*$")
SPACES = re.compile(r"[^\S\n]+")


class Block(NamedTuple):
    """A heading of that `level` (1 is the highest), or a paragraph (0), on a `page` (from 1; 0: there are none)."""

    text: str
    level: int = 0
    page: int = 0


class Unreadable(Exception):
    """The message is a sentence that says why."""

    def __init__(self, message: str, fault: Fault = "invalid_file") -> None:
        super().__init__(message)
        self.fault: Fault = fault


def clean(text: str) -> str:
    """The text as people see it: one kind of blanks, and nothing that is not seen."""
    text = unicodedata.normalize("NFC", text)
    text = SPACES.sub(" ", INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    return text.replace(" \n", "\n").replace("\n ", "\n").strip()


class Gathering:
    """Blocks as they are read, up to `most` characters. Raises Unreadable for more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = 0
        self.blocks: list[Block] = []

    def add(self, text: str, level: int = 0, page: int = 0) -> None:
        text = clean(text)
        if not text:
            return
        self.size += len(text)
        if self.size > self.most:
            raise Unreadable(f"The document has more than {self.most} characters.")
        self.blocks.append(Block(text, level, page))
