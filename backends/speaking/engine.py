"""What speaks, in its own process: it is asked for a text, and says it phrase by phrase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import NamedTuple

from msgspec import Struct

from audio import Stretcher
from backends.errors import Unsupported
from backends.workshop import Asked

# Faster than this an engine skips sounds, or speaks no faster.
FASTEST = 2.0


class Text(Struct, frozen=True):
    """What is to be said, by a voice that the engine has, at a speed from 0.25 to 4."""

    text: str
    voice: str
    speed: float


class Said(Struct, frozen=True, array_like=True):
    """16-bit mono PCM of `rate` samples a second; a sentence `ends` with it."""

    pcm: bytes
    rate: int
    ends: bool


class Phrase(NamedTuple):
    """16-bit mono PCM of the engine's rate; a sentence `ends` with it."""

    pcm: bytes
    ends: bool


class Engine(ABC):
    """A loaded engine of `rate` samples a second; several threads call it. Slower than `slowest` it is stretched."""

    question = Text
    about = None
    rate: int
    slowest = 0.25

    @abstractmethod
    def say(self, text: str, voice: str, speed: float) -> Generator[Phrase, None, None]:
        """What is said, each piece made when it is asked for; nothing for text that cannot be read."""

    def answers(self, question: Text, asked: Asked) -> Iterator[Said]:
        """The same at any speed, by the engine as far as it goes. Raises Unsupported."""
        speed = min(max(question.speed, self.slowest), FASTEST)
        said: Iterator[Phrase] = self.say(question.text, question.voice, speed)
        if speed != question.speed:
            try:
                said = stretched(said, self.rate, question.speed / speed)
            except ImportError as error:
                message = "This server was installed without its extra 'audio'."
                raise Unsupported(message, param="speed") from error
        for phrase in said:
            yield Said(phrase.pcm, self.rate, phrase.ends)


def stretched(said: Iterator[Phrase], rate: int, speed: float) -> Iterator[Phrase]:
    """The same at another speed; nothing of a sentence is left for the next. Raises ImportError without `av`."""
    Stretcher(rate, speed)

    def pieces() -> Iterator[Phrase]:
        stretcher = Stretcher(rate, speed)
        for pcm, ends in said:
            faster = stretcher.feed(pcm)
            if ends:
                faster += stretcher.finish()
                stretcher = Stretcher(rate, speed)
            yield Phrase(faster, ends)

    return pieces()
