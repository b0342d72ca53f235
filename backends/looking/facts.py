"""What a model is told of a picture that it cannot see: a block of text, before the user's own.

A picture's words are data. Each row of them begins with a mark, so that none can end the block or pass for the user's,
and what engines take for tokens of their own is broken up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from backends.looking.rows import APART, place, rows
from backends.looking.shapes import Reading

MARK = "> "
# A chat's pictures get half of the context, by a low guess of how many characters a token has.
CHARACTERS_PER_TOKEN = 3
LONGEST, SHORTEST = 6000, 300
# `<|im_end|>`, `</s>` or `[INST]`; with a space inside they are words.
OPENING = re.compile(r"<(?=\S)|\[(?=/?[A-Z_]{2,}\])")
SHAPELESS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]+")


class Read(Struct, frozen=True):
    """A picture, its upright sides in pixels, as it was read."""

    reading: Reading
    width: int
    height: int


def budget(context: int | None, pictures: int) -> int:
    """How many characters each of a chat's pictures may have, for a model of so many tokens."""
    if context is None:
        return LONGEST
    return max(SHORTEST, min(LONGEST, context * CHARACTERS_PER_TOKEN // 2 // pictures))


def block(read: Read, number: int, of: int, longest: int) -> str:
    """The text, of about `longest` characters at most."""
    reading = read.reading
    named = f"picture {number}" if of > 1 else "picture"
    shape = "square" if read.width == read.height else "landscape" if read.width > read.height else "portrait"
    about = f"{read.width}x{read.height} pixels, {shape}"
    if reading.turned:
        about += f", turned by {reading.turned % 360} degrees to read it"
    told = [f"[{named.capitalize()}: {about}.{_colours(reading)}", *_words(read, longest), f"End of the {named}.]"]
    return "\n".join(told)


def _colours(reading: Reading) -> str:
    named = [f"{name} {share:.0%}" for name, share in reading.colours]
    return f" Colours: {', '.join(named)}." if named else ""


def _words(read: Read, longest: int) -> list[str]:
    reading = read.reading
    if not reading.lines:
        return ["No words were found in it by OCR."]
    found = [harmless(row) for row in rows(reading.lines, read.width, read.height)]
    head = f"Its words, read by OCR, row by row, {place(reading.lines)}:"
    if any(APART in row for row in found):
        head = f"{head[:-1]}; columns are two spaces apart:"
    return [head, *_shortened(found, longest, reading.unread)]


def _shortened(found: Sequence[str], longest: int, unread: int) -> list[str]:
    kept: list[str] = []
    left = longest
    for row in found:
        left -= len(row) + len(MARK) + 1
        if left < 0:
            break
        kept.append(MARK + row)
    if unread or len(kept) < len(found):
        kept.append(f"({len(found) - len(kept) + unread} more rows are left out)")
    return kept


def harmless(row: str) -> str:
    """On one line, and without what an engine might take for more than words. Two spaces stay two."""
    cells = [SHAPELESS.sub(" ", cell).strip() for cell in row.split(APART)]
    return OPENING.sub(lambda found: f"{found[0]} ", APART.join(filter(None, cells)))
