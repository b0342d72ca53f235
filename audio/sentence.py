"""Text in pieces that are spoken one by one: sentences, and where one is too long its clauses.

A missed end costs a little time; a wrong one is heard as a pause. So what may be an abbreviation counts as one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 400

CLOSERS = "\"'”’»)\\]」』）】》〉"
QUOTES = "\"'“‘«(["
OPENERS = "\"'“‘«(\\[「『（【《〈¿¡*_—–-"
# Ends that need white space after them, and those of scripts that are written without.
END = re.compile(
    rf"(?<![.!?…])(?P<spaced>[.!?…]++)[{CLOSERS}]*+(?=\s)|(?:[。！？｡।॥؟۔።]|．(?!\d))[。！？｡．।॥؟۔።]*+[{CLOSERS}]*+"
)
BEFORE = re.compile(r"\S*$")
# No abbreviation is longer.
ABBREVIATION = 16
AFTER = re.compile(rf"\s*[{OPENERS}]*(\w*\.?)")
INITIALS = re.compile(r"(?:[^\W\d_]\.)+")
MARKER = re.compile(r"\s*(?:[-*•–—>#]+|\(?\d{1,3}[.)]|[a-zA-Z][.)])\s")
NUMBER = re.compile(r"\(?\d{1,3}[.)]+|[a-zA-Z]\)")
ENDED = re.compile(rf"[.!?…。！？:;：；।؟][{CLOSERS}]*\s*$")
CLAUSE = re.compile(rf"(?:[,;:—–][{CLOSERS}]*|[)\]])(?=\s)|[，、；：][{CLOSERS}]*|\s(?=[—–(])")
SPACE = re.compile(r"\s")
# A line of this many characters is one of a text that was wrapped.
WRAPPED = 60


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Before a name: never the end of a sentence.
TITLES = _words(
    "dr mr mrs ms mx prof st sr fr rev gen sen rep col capt cmdr lt sgt gov hon pres supt mt ft messrs mme mlle "
    "eds cf vs viz ca approx e.g i.e al hr bzw z.b d.h"
)
# Before a number.
NUMBERED = _words("no nos nr fig figs vol vols ch sec art eq p pp op")
# An end only before a word that begins sentences.
SHORT = _words(
    "Jr Inc Ltd Co Corp Bros Dept dept est Univ Assn Ave Blvd Rd Hwy Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec "
    "Mon Tue Tues Wed Thu Thurs Fri Sat Sun avg tel ext etc"
)
STARTERS = _words(
    "a after all also although an and another any are as at because before both but by can despite did do does "
    "during each even every finally first for from had has have he hence her here hers his how however i if in "
    "indeed is it its last later many maybe meanwhile moreover most my next no nobody not nothing now of on once "
    "one only or other others our people perhaps please several she since so some sometimes soon still such that "
    "the their then there therefore these they this those though through thus to today tomorrow under unless "
    "until upon was we were what when where whether which while who whose why will with without yes yesterday yet "
    "you your"
)


def sentences(text: str, longest: int = LONGEST, first: int | None = None) -> list[str]:
    """The text in order, no piece empty or longer than `longest` characters, the first no longer than `first`.

    Nothing but white space is lost; runs of it become a space. Too long a sentence is cut after a clause, else between
    words, else anywhere.
    """
    cased = any(map(str.isupper, text))
    most = longest if first is None else min(first, longest)
    found: list[str] = []
    for block in _blocks(text):
        for sentence in _sentences(block, cased):
            for piece in _pieces(" ".join(sentence.split()), longest, longest if found else most):
                _append(found, piece, longest if len(found) > 1 else most)
    return found


def _pieces(sentence: str, longest: int, most: int) -> Iterator[str]:
    """A sentence in pieces, the first of at most `most` characters."""
    begun = 0
    while begun < len(sentence):
        end = _cut(sentence, begun, most)
        yield sentence[begun:end].strip()
        begun, most = end, longest


def _append(found: list[str], piece: str, longest: int) -> None:
    """What has no word in it goes with what is before it."""
    if found and not any(map(str.isalnum, piece)) and len(found[-1]) + 1 + len(piece) <= longest:
        found[-1] += f" {piece}"
    else:
        found.append(piece)


def _blocks(text: str) -> Iterator[str]:
    """Lines that belong together: paragraphs that are wrapped, items of lists, headings."""
    block: list[str] = []
    last = ""
    for line in text.splitlines():
        if _begins(line, last):
            yield " ".join(block)
            block = []
        block.append(line)
        last = line
    yield " ".join(block)


def _begins(line: str, last: str) -> bool:
    """Whether a line is more than the one before goes on with."""
    if not line.strip() or not last.strip() or ENDED.search(last) or MARKER.match(line):
        return True
    return not line.lstrip()[0].islower() and len(last) < WRAPPED


def _sentences(block: str, cased: bool) -> Iterator[str]:
    begun = 0
    for end in END.finditer(block):
        if end["spaced"] is None or _ends(block, begun, end, cased):
            yield block[begun : end.end()]
            begun = end.end()
    yield block[begun:]


def _ends(block: str, begun: int, end: re.Match[str], cased: bool) -> bool:
    """Whether a stop that white space follows ends the sentence that began at `begun`."""
    after = AFTER.match(block, end.end())
    follows = after[1] if after is not None else ""
    small = cased and follows[:1].islower()
    marks = end["spaced"]
    if marks != ".":
        closed = end.end() > end.end("spaced")
        return not small or not (closed or marks.startswith(("..", "…")))
    if small:
        return False
    stop = end.start("spaced")
    word = BEFORE.search(block[max(begun, stop - ABBREVIATION) : stop])
    alone = end.end() - begun < ABBREVIATION and NUMBER.fullmatch(block[begun : end.end()].strip())
    return not alone and _full(word[0] if word is not None else "", follows)


def _full(word: str, follows: str) -> bool:
    """Whether the stop between two words is a full one."""
    bare = word.lstrip(QUOTES)
    if bare.lower() in TITLES or (bare.lower() in NUMBERED and follows[:1].isdigit()):
        return False
    if bare in SHORT or INITIALS.fullmatch(f"{bare}."):
        return follows.lower() in STARTERS
    return True


def _cut(text: str, begun: int, longest: int) -> int:
    """Where a piece of at most so many characters ends."""
    most = begun + longest
    if len(text) <= most:
        return len(text)
    for pattern in (CLAUSE, SPACE):
        ends = [match.end() for match in pattern.finditer(text, begun + longest // 4, most + 1)]
        ends = [end for end in ends if begun < end <= most + (pattern is SPACE)]
        if ends:
            return ends[-1]
    end = most
    while end > begun and _joined(text[end - 1], text[end]):
        end -= 1
    return end if end > begun else most


def _joined(before: str, after: str) -> bool:
    """Whether these two characters are parts of one that is seen."""
    joiner = "\u200d"
    return bool(unicodedata.combining(after)) or joiner in (before, after) or "\ufe00" <= after <= "\ufe0f"
