"""Text that nobody vouches for -> text that a reader of English can be given.

Hibari's reader takes time by the cube of a word's length (a path of 120 characters half a second, one of 1000 minutes,
while no other thread runs), breaks on numbers of forty digits, and spells what it cannot read letter by letter.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 32
# Read digit by digit from here on.
NUMBER = re.compile(r"\d(?:[,.]?\d){15,}")
WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
BREAK = re.compile(r"[^\w\s]|_")
# Signs from here on are pictures: they are not named, unlike those of money and measure before them.
PICTURES = "\u2300"
BLANK = re.compile(r"[^\S\n]+")


def legible(text: str) -> str:
    """The text without what cannot be read in English, with words and numbers of bounded length.

    Phonemes in a link's place, `[word](/phonemes/)`, lose their meaning: a client writes words.
    """
    if not text.isascii():
        text = "".join(map(_character, unicodedata.normalize("NFC", text)))
    text = BLANK.sub(" ", text.replace("](/", "] (/"))
    return WORD.sub(_broken, NUMBER.sub(_spelled, text))


def _character(character: str) -> str:
    """Digits of all kinds as our own, letters if they are Latin, and neither pictures nor what cannot be seen."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isalpha():
        # The small form of one letter (of Turkish) is two characters, which the reader does not expect.
        plain = unicodedata.normalize("NFKC", character if len(character.lower()) == 1 else "I")
        return plain if unicodedata.name(plain[0], "").startswith("LATIN ") else " "
    if character.isdigit() and "SCRIPT" not in unicodedata.name(character):
        return f" {unicodedata.digit(character)} "
    kind = unicodedata.category(character)
    if kind == "Cf":
        return ""
    return " " if kind == "So" and character >= PICTURES else character


def _spelled(number: re.Match[str]) -> str:
    return " ".join("point" if sign == "." else sign for sign in number[0] if sign != ",")


def _broken(word: re.Match[str]) -> str:
    """Too long a word in several, broken after a mark if there is one."""
    rest, parts = word[0], list[str]()
    while len(rest) > LONGEST_WORD:
        marks = [match.end() for match in BREAK.finditer(rest[:LONGEST_WORD])]
        place = marks[-1] if marks else LONGEST_WORD
        parts.append(rest[:place])
        rest = rest[place:]
    return " ".join([*parts, rest])
