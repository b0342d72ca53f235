"""English text -> phonemes in Kokoro's alphabet, sentence by sentence, by the dictionaries of the package `hibari`."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from audio import sentences
from backends.speaking.cut import cut
from backends.speaking.legible import legible

log = logging.getLogger(__name__)

# About fifteen seconds of speech. A sentence of more is said in parts; the first one is shorter, as it is waited for.
LONGEST, FIRST = 250, 160
UNSPOKEN = frozenset(';:,.!?—…"()“” ˈˌː')


class Phrase(NamedTuple):
    """What is said at once; a sentence, or a clause of too long a one, `ends` with it."""

    phonemes: str
    ends: bool


class English:
    """The reader. Takes half a second and 50 MB to make; may be used by several threads."""

    def __init__(self) -> None:
        self.read: Any = importlib.import_module("hibari.g2p").G2P()
        self._one = threading.Lock()
        self.phonemes("Xqzv 1.")  # loads what unknown words need

    def phrases(self, text: str) -> Iterator[Phrase]:
        """All that can be read of the text, each phrase made when it is asked for."""
        for sentence in sentences(legible(text), LONGEST, FIRST):
            ready = ""
            for part in cut(self.phonemes(sentence), LONGEST):
                if UNSPOKEN.issuperset(part):
                    continue
                if ready:
                    yield Phrase(ready, ends=False)
                ready = part
            if ready:
                yield Phrase(ready, ends=True)

    def phonemes(self, text: str) -> str:
        """Of a text of bounded length; none of one that the reader breaks on."""
        try:
            with self._one:
                return str(self.read(text))
        except (IndexError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            log.info("%d characters cannot be read aloud: %s", len(text), type(error).__name__)
            return ""
