"""When it is tried again: each pause some four times as long as the one before, all of them together a given time."""

from __future__ import annotations

import random

GROWTH = 4.0
# Pauses are shorter by up to this share, so that what failed together does not come back together.
JITTER = 0.25


def pause(tried: int, tries: int, seconds: float) -> float:
    """How long to wait after so many of `tries` tries, which take `seconds` together at most."""
    whole = sum(GROWTH**number for number in range(tries - 1))
    return seconds * GROWTH ** (tried - 1) / whole * (1 - JITTER * random.random())  # noqa: S311 - no secret
