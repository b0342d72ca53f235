"""A prompt -> the numbers of the words in it that the model knows."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

# As many as one caption had, in training, and how much of a prompt is looked at for them.
LONGEST, CHARACTERS = 24, 4000
ENDINGS = (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("ly", ""))
# Letters that a word must share with a known one to be taken for it misspelt; how many words are looked at so.
ALIKE, GUESSED, SHORTEST = 0.8, 8, 4


def split(text: str) -> list[str]:
    """Words and digits in lower case, without accents; a sign is its name."""
    return re.findall(r"[a-z]+|[0-9]", _plain(text).lower())


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.replace("'s", " ").replace("’s", " "))
    return "".join(map(_read, letters))


def _read(letter: str) -> str:
    match unicodedata.category(letter):
        case "Mn":
            return ""
        case "So":
            return f" {unicodedata.name(letter, '')} "
    return letter


class Words:
    """All that are known, from number 1 on."""

    def __init__(self, known: list[str]) -> None:
        self._numbers = {word: number for number, word in enumerate(known, start=1)}
        self._alike: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for word in known:
            self._alike[word[0], len(word)].append(word)

    def numbers(self, prompt: str) -> list[int]:
        """Of the known words in order, and of those that unknown ones seem to be."""
        return list(self._found(split(prompt[:CHARACTERS])))[:LONGEST]

    def _found(self, words: list[str]) -> Iterator[int]:
        guesses = GUESSED
        for word in words:
            found = word if word in self._numbers else self._stem(word)
            if found is None and len(word) >= SHORTEST and guesses:
                guesses -= 1
                found = self._meant(word)
            if found is not None:
                yield self._numbers[found]

    def _stem(self, word: str) -> str | None:
        for ending, instead in ENDINGS:
            stem = word.removesuffix(ending) + instead
            if word.endswith(ending) and stem in self._numbers:
                return stem
        return None

    def _meant(self, word: str) -> str | None:
        """The known word that one misspelt is most like; its first letter is taken to be right."""
        near = [each for length in range(-2, 3) for each in self._alike.get((word[0], len(word) + length), ())]
        return next(iter(difflib.get_close_matches(word[:40], near, 1, ALIKE)), None)
