"""What the backend asks its engine, and what that answers."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class Sent(Struct, frozen=True):
    """A picture as it lies in memory: RGB, or one channel for a mask."""

    pixels: bytes
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


class Order(Struct, frozen=True, kw_only=True):
    """What to draw, in pixels. `source` and `mask` have the size of what is drawn."""

    prompt: str
    negative: str
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    width: int
    height: int
    transparent: bool
    partial: int
    source: Sent | None = None
    mask: Sent | None = None
    strength: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


class Shown(Struct, frozen=True, tag=True):
    """A PNG: the picture `index`, or one of it that is not done."""

    png: bytes
    index: int
    partial: int | None = None


class Stepped(Struct, frozen=True, tag=True):
    """A step is done; `words` of the prompt were known."""

    fraction: float
    words: int


Answer: TypeAlias = Shown | Stepped
