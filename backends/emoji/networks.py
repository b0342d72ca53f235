"""The networks that `scripts/train_images` trains, run with numpy alone. Their layers have the same names there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backends.emoji.colours import TARGETS
from backends.emoji.layers import Floats, Net, gathered, normal, silu, spread

# Sides of a sketch and of a painted picture, in pixels.
SMALL, SIDE = 32, 128
# Words before and after one that tell whether it matters.
BESIDE = 2
# How sharply subjects are told apart, how much of one's vector is added when it is decided on, how far chance decides.
SHARP, DECIDED, FREE = np.float32(14), np.float32(0.8), 0.4
# By how much that makes a subject unlikely which is surely not wanted.
AWAY = np.float32(20)


class Reader:
    """Words -> what is meant, and the first idea of a picture of that."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._net, self._table = Net(arrays, "reader."), arrays["reader.table"]
        self._random, self._matrix = (np.ascontiguousarray(arrays[f"idea.{each}"].T) for each in ("spread", "matrix"))
        self._shift = arrays["idea.shift"]
        self._subjects, self._colours = (unit(arrays[f"reader.{each}"]) for each in ("subjects", "colours"))

    def meant(self, numbers: list[int]) -> Floats:
        """[192], of length 1."""
        words = self._table[numbers]
        looks = 4 * self._net.linear("look", beside(words))
        # Beside the words one of weight 1, so that they may also say nothing.
        most = np.maximum(looks.max(0, initial=0), 0)
        weights = np.exp(looks - most)
        weights /= weights.sum(0) + np.exp(-most)
        hidden = silu(self._net.linear("wide", (weights.T @ words).ravel() * 2))
        return unit(self._net.linear("narrow", hidden))

    def likely(self, numbers: list[int]) -> Floats:
        """How likely each subject is meant, from 0 to 1: [subjects]."""
        share = np.exp(SHARP * (self._subjects @ self.meant(numbers) - 1))
        found: Floats = share / share.sum()
        return found

    def decided(self, numbers: list[int], seed: int, away: list[int]) -> Floats:
        """[192]: one of all subjects, and not a little of each that may be meant; the seed chooses among those most
        likely, but none that the words to keep away from mean.
        """
        share = self.likely(numbers)
        chance = np.log(share) + FREE * np.random.default_rng(seed).gumbel(size=len(share))
        if away:
            chance = chance - AWAY * self.likely(away)
        chosen = self._subjects[int(chance.argmax())]
        return unit(self.meant(numbers) + DECIDED * (chosen - share @ self._subjects))

    def colour(self, numbers: list[int]) -> str | None:
        """None for a subject in its own colours."""
        found = int((self._colours @ self.meant(numbers)).argmax())
        return (*TARGETS, None)[found]

    def idea(self, numbers: list[int], seed: int, away: list[int]) -> Floats:
        """[512] coefficients."""
        features = np.cos(self.decided(numbers, seed, away) @ self._random + self._shift)
        found: Floats = features @ self._matrix * np.float32((2 / len(features)) ** 0.5)
        return found


def unit(rows: Floats) -> Floats:
    """Each of length 1."""
    found: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def beside(words: Floats, by: int = BESIDE) -> Floats:
    """Each word with those before and after it, nothing beyond the ends: [words, columns] -> [words, 5 * columns]."""
    around = np.pad(words, ((by, by), (0, 0)))
    return np.concatenate([around[place : place + len(words)] for place in range(2 * by + 1)], 1)


class Imagination:
    """What a mixture of picture and noise might be a picture of."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._net = Net(arrays, "imagination.")
        self._blocks = sum(name.endswith(".first.bias") for name in self._net.arrays)

    def imagined(self, noisy: Floats, time: float, idea: Floats) -> Floats:
        """Mixtures [n, 512], of which `time` from 0 to 1 is picture, and ideas [512] or [n, 512] -> [n, 512]."""
        net = self._net
        angles = (time * net.arrays["waves"]).astype(np.float32)
        known = net.linear("time", np.concatenate([np.sin(angles), np.cos(angles)]))
        condition = silu(net.linear("mix", silu(known + net.linear("about", idea))))
        hidden = net.linear("enter", noisy) + net.linear("idea", idea)
        for number in range(self._blocks):
            name = f"blocks.{number}"
            scale, shift = np.split(net.linear(f"{name}.modulate", condition), 2, -1)
            inner = net.linear(f"{name}.first", normal(hidden) * (1 + scale) + shift)
            hidden = hidden + net.linear(f"{name}.second", silu(inner))
        return idea + net.linear("leave", normal(hidden))


class Components:
    """Coefficients, in units of their scale, and the small pictures that they are of: [n, 512] <-> [n, 32, 32, 4]."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._basis, self._middle, self.scale = arrays["basis"], arrays["middle"], arrays["scale"]

    def sketched(self, coefficients: Floats) -> Floats:
        rows = (coefficients * self.scale) @ self._basis + self._middle
        found: Floats = rows.reshape(-1, 4, SMALL, SMALL).transpose(0, 2, 3, 1)
        return found

    def coefficients(self, sketches: Floats) -> Floats:
        rows = sketches.transpose(0, 3, 1, 2).reshape(len(sketches), -1)
        found: Floats = (rows - self._middle) @ self._basis.T / self.scale
        return found


class Painter:
    """Premultiplied RGBA as components have it -> clear, and four times as large: from 0 to 1."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._net = Net(arrays, "painter.")

    def painted(self, sketches: Floats) -> Floats:
        """[n, 32, 32, 4] -> [n, 128, 128, 4]."""
        net = self._net
        fine = net.pair("before", net.convolved("enter", sketches * 2 - 1))
        coarse = net.pair("wider", net.pair("wide", net.linear("down", gathered(fine, 2))))
        fine = net.pair("after", fine + spread(net.linear("up", coarse)))
        large = silu(spread(net.linear("larger", fine)))
        seen: Floats = np.clip(enlarged(sketches) + spread(net.convolved("leave", large)), 0, 1)
        seen[..., :3] = np.minimum(seen[..., :3], seen[..., 3:])
        return seen


def enlarged(sketches: Floats, by: int = SIDE // SMALL) -> Floats:
    """Bilinear, as torch does it: pixels are areas, and the border goes on."""
    count = sketches.shape[1]
    places = np.clip((np.arange(count * by, dtype=np.float32) + 0.5) / by - 0.5, 0, count - 1)
    before = places.astype(int)
    after, part = np.minimum(before + 1, count - 1), (places - before).astype(np.float32)
    rows = sketches[:, before] * (1 - part)[:, None, None] + sketches[:, after] * part[:, None, None]
    found: Floats = rows[:, :, before] * (1 - part)[:, None] + rows[:, :, after] * part[:, None]
    return found
