"""How well pictures follow prompts: of all training pictures, is the right one among those nearest in pixels?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import phrases
from sources import Lesson, Subject

Prompted = Callable[[list[str]], np.ndarray[Any, np.dtype[np.float32]]]
SIDE = 64
SAMPLE = 400
ARTICLE = {True: "an ", False: "a "}


def over_white(premultiplied: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[n, side, side, 4] from 0 to 1 -> [n, 64 * 64 * 3]."""
    seen = premultiplied[..., :3] + 1 - premultiplied[..., 3:]
    by = seen.shape[1] // SIDE
    seen = seen.reshape(len(seen), SIDE, by, SIDE, by, 3).mean((2, 4))
    return seen.reshape(len(seen), -1).astype(np.float32)


class Judge:
    """Holds all training pictures at 64x64 over white."""

    def __init__(self, lesson: Lesson, sample: int = SAMPLE) -> None:
        self.subjects = lesson.subjects
        some = (lesson.pictures[start : start + 100] for start in range(0, len(lesson.pictures), 100))
        self.seen = np.concatenate([over_white(each.astype(np.float32) / 255) for each in some])
        self.lengths = (self.seen**2).sum(1)
        self.places = random.Random(7).sample(range(len(self.subjects)), sample)

    def ranks(self, pictures: np.ndarray[Any, np.dtype[np.float32]], places: list[int]) -> list[int]:
        """How many other pictures are nearer than the right one. Pictures as of `over_white`."""
        distances = self.lengths - 2 * pictures @ self.seen.T
        right = distances[np.arange(len(places)), places]
        return (distances < right[:, None] - 1e-3).sum(1).tolist()

    def tell(self, draw: Prompted) -> Iterator[tuple[str, tuple[float, float]]]:
        """Top-1 and top-5 of each kind of prompt."""
        for kind, text in self.kinds().items():
            prompts = [text(self.subjects[place], random.Random(place)) for place in self.places]
            ranks = np.array(self.ranks(over_white(draw(prompts)), self.places))
            yield kind, (float((ranks < 1).mean()), float((ranks < 5).mean()))

    def kinds(self) -> dict[str, Callable[[Subject, random.Random], str]]:
        """Names of kinds of prompt, and what makes one."""

        def unseen(phrase: str) -> Callable[[Subject, random.Random], str]:
            return lambda subject, _: phrase.format(ARTICLE[subject.name[0] in "aeiou"] + subject.name)

        return {
            "name": lambda subject, _: subject.name,
            "trained phrasings": lambda subject, chance: phrases.phrased(subject.name, chance),
            "keywords": phrases.mixture,
            **{phrase: unseen(phrase) for phrase in (*phrases.UNSEEN, phrases.FURTHER)},
        }
