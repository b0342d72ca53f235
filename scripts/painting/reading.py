"""Captions -> numbers of words, as the backend reads a prompt."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import phrases
import torch
from colours import WORDS
from meanings import Encoder, table, vocabulary
from sources import Lesson, Subject
from tints import Tints
from torch import Tensor

from backends.emoji.colours import TARGETS

LONGEST = 24
ALIKE = 0.72
NOISY = 9000
# How many captions are put into sentences of any words.
FRAMED = 0.4


class Words(NamedTuple):
    """The words that are known, and a vector of each; number 0 is no word. Those of captions come first."""

    numbers: dict[str, int]
    vectors: Tensor
    captioned: int

    def tensors(self, texts: list[str], device: str) -> tuple[Tensor, Tensor]:
        """Numbers [texts, words], and 1.0 where there is a word."""
        rows = [[self.numbers[word] for word in split(text) if word in self.numbers][:LONGEST] for text in texts]
        longest = max(1, *map(len, rows))
        numbers = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        return numbers, (numbers > 0).float()


def split(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[0-9]", text.lower())


def words(folder: Path, minilm: Path, subjects: list[Subject]) -> Words:
    """Made once, then kept in the folder."""
    kept = folder / "words.npz"
    wanted = {word for subject in subjects for text in (subject.name, *subject.keywords) for word in split(text)}
    wanted |= {word for text in (*phrases.BEFORE, *phrases.AFTER) for word in split(text)} | set(WORDS)
    if not kept.exists():
        encoder = Encoder(minilm)
        known = vocabulary(wanted, encoder.numbers)
        np.savez(kept, words=np.array(known), vectors=table(known, encoder))
    loaded = np.load(kept)
    vectors = torch.from_numpy(loaded["vectors"])
    numbers = {str(word): place + 1 for place, word in enumerate(loaded["words"])}
    return Words(numbers, torch.cat([torch.zeros(1, vectors.shape[1]), vectors]), len(wanted))


class Captions:
    """Texts for pictures, each another one every time."""

    def __init__(self, lesson: Lesson, tints: Tints, known: Words, seed: int) -> None:
        self.subjects, self.tints = lesson.subjects, tints
        self.colours = list(TARGETS)
        self.chance = random.Random(seed)
        self.alike = _alike(lesson, known)
        named = {word for subject in lesson.subjects for word in split(subject.name)} - set(WORDS)
        common = [word for word in list(known.numbers)[:NOISY] if word not in WORDS and len(word) > 2]
        self.noise = [word for word in common if word not in named]
        self.named = sorted(word for word in named if len(word) > 2)

    def plain(self, place: int) -> str:
        """For a picture as it is; one in four names its colour, where it has one."""
        subject, chance = self.subjects[place], self.chance
        own = self.tints.own[place]
        said = phrases.core(subject, chance)
        if own >= 0 and chance.random() < 0.2:
            said = phrases.coloured(subject, self.colours[own], chance)
        return self._worn(said)

    def tinted(self, tint: int) -> str:
        subject = self.subjects[self.tints.subjects[tint]]
        return self._worn(phrases.coloured(subject, self.colours[self.tints.colours[tint]], self.chance))

    def chosen(self) -> tuple[Tensor, Tensor]:
        """Whose all pictures and all tints are."""
        return torch.arange(len(self.subjects)), torch.from_numpy(self.tints.subjects).long()

    def _worn(self, said: str) -> str:
        said = phrases.described(said, self.chance)
        if self.chance.random() < FRAMED:
            worn = phrases.worn(said, self.chance, self.alike, [])
            return phrases.framed(worn, self.chance, (self.noise, self.named))
        return phrases.worn(phrases.phrased(said, self.chance), self.chance, self.alike, self.noise)


def _alike(lesson: Lesson, known: Words) -> dict[str, list[str]]:
    """Words of nearly the same meaning as those of names."""
    said = sorted({word for subject in lesson.subjects for word in split(subject.name)})
    unit = torch.nn.functional.normalize(known.vectors, dim=1)
    names = list(known.numbers)
    near = unit[[known.numbers[word] for word in said]] @ unit.T
    values, places = near.topk(4, dim=1)
    found = {
        word: [names[place - 1] for value, place in zip(row, them, strict=True) if ALIKE < value < 0.999 and place]
        for word, row, them in zip(said, values.tolist(), places.tolist(), strict=True)
    }
    return {word: others for word, others in found.items() if others and word not in WORDS}
