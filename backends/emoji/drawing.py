"""How a picture comes about: noise becomes a picture by steps, each led by a first idea of what was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct

from backends.emoji.colours import coloured
from backends.emoji.layers import Floats, read
from backends.emoji.networks import Components, Imagination, Painter, Reader
from backends.emoji.words import Words

STEPS, GUIDANCE = 12, 1.5


class Wish(Struct, frozen=True, kw_only=True):
    """What to draw. `source` is a picture [128, 128, 4] to begin with, as far as `strength` (0 to 1) lets it change,
    and only where `free` [128, 128] is 1.
    """

    prompt: str
    negative: str = ""
    seeds: tuple[int, ...]
    steps: int = STEPS
    guidance: float = GUIDANCE
    source: Floats | None = None
    strength: float = 1.0
    free: Floats | None = None


class Sketch(Struct, kw_only=True):
    """Pictures under way: `now` is after `step` steps, `guess` what they might become. [n, 512] each."""

    wish: Wish
    idea: Floats
    away: Floats
    noise: Floats
    source: Floats | None
    now: Floats
    guess: Floats
    step: int

    @property
    def done(self) -> bool:
        return self.step >= self.wish.steps


class Artist:
    """The loaded model; several threads may use it."""

    def __init__(self, content: bytes) -> None:
        arrays: dict[str, Any] = read(content)
        self.words = Words(bytes(arrays["words"]).decode().split("\n"))
        self._reader, self._imagination = Reader(arrays), Imagination(arrays)
        self._components, self._painter = Components(arrays), Painter(arrays)

    def idea(self, prompt: str, seed: int, negative: str = "") -> Floats:
        """[512]; nothing at all for a prompt without a word that is known."""
        numbers, away = self.words.numbers(prompt), self.words.numbers(negative)
        scale = self._components.scale
        return self._reader.idea(numbers, seed, away) / scale if numbers else np.zeros_like(scale)

    def colour(self, prompt: str) -> str | None:
        """The colour that is asked for, if it is not what that has anyway."""
        numbers = self.words.numbers(prompt)
        return self._reader.colour(numbers) if numbers else None

    def begun(self, wish: Wish) -> Sketch:
        idea = np.stack([self.idea(wish.prompt, seed, wish.negative) for seed in wish.seeds])
        away = np.stack([self.idea(wish.negative, seed) for seed in wish.seeds])
        noise = np.stack([_noise(seed, idea.shape[1]) for seed in wish.seeds])
        source, now, step = None, noise, 0
        if wish.source is not None:
            source = self._components.coefficients(smaller(wish.source)[None])[0]
            step = round(wish.steps * (1 - wish.strength))
            now = _mixed(noise, source, step / wish.steps)
        return Sketch(wish=wish, idea=idea, away=away, noise=noise, source=source, now=now, guess=now, step=step)

    def advance(self, sketch: Sketch) -> None:
        """One step."""
        wish, time = sketch.wish, sketch.step / sketch.wish.steps
        guess = self._imagination.imagined(sketch.now, time, sketch.idea)
        if wish.guidance != 1:
            other = self._imagination.imagined(sketch.now, time, sketch.away)
            guess = other + np.float32(wish.guidance) * (guess - other)
        sketch.guess = guess = self._kept(sketch, guess)
        sketch.now = sketch.now + (guess - sketch.now) / (wish.steps - sketch.step)
        sketch.step += 1

    def _kept(self, sketch: Sketch, guess: Floats) -> Floats:
        """With the source as it is where it may not change."""
        if sketch.source is None or sketch.wish.free is None:
            return guess
        free = smaller(sketch.wish.free[..., None])
        own = self._components.sketched(sketch.source)
        return self._components.coefficients(own + (self._components.sketched(guess) - own) * free)

    def painted(self, guess: Floats, colour: str | None = None) -> Floats:
        """A guess [512] -> premultiplied RGBA [128, 128, 4], 0 to 1."""
        found = self._painter.painted(self._components.sketched(guess[None]))[0]
        return found if colour is None else coloured(found, colour)


def smaller(picture: Floats, by: int = 4) -> Floats:
    """The mean of every four by four pixels."""
    height, width, channels = picture.shape
    found: Floats = picture.reshape(height // by, by, width // by, by, channels).mean((1, 3))
    return found


def _noise(seed: int, count: int) -> Floats:
    found: Floats = np.random.default_rng(seed).standard_normal(count, np.float32)
    return found


def _mixed(noise: Floats, source: Floats, time: float) -> Floats:
    return noise * np.float32(1 - time) + source * np.float32(time)
