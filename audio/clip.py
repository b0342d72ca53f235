"""Sound as numbers."""

from __future__ import annotations

from msgspec import Struct

WIDTH = 2


class Clip(Struct, frozen=True):
    """16-bit little-endian mono samples, `rate` of them a second."""

    pcm: bytes
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.pcm) / WIDTH / self.rate
