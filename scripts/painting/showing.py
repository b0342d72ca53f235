"""The exported file at work: many prompts at once for the judge, and a sheet of pictures to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backends.emoji.canvas import finished
from backends.emoji.drawing import STEPS, Artist, Sketch, Wish

PROMPTS = (
    *("a red apple", "a green apple", "a blue heart", "a slice of pizza", "a happy dog", "a purple car"),
    *(
        "an acoustic guitar",
        "a christmas tree",
        "a house with a garden",
        "a sailboat",
        "a sunflower",
        "a crescent moon",
    ),
    *(
        "a pink elephant",
        "a friendly robot",
        "an old castle",
        "a smiling face with sunglasses",
        "a banana",
        "a snowman",
    ),
    *("a rocket", "a birthday cake", "a green dragon", "a cup of coffee", "a butterfly", "a yellow umbrella"),
)
TILE, SHEET = 128, 8
AT_ONCE = 50


def drawn(artist: Artist, prompts: list[str], steps: int = STEPS, guidance: float | None = None) -> Any:
    """Premultiplied RGBA [prompts, 128, 128, 4]; the seed of each is its place."""
    rows = [_some(artist, prompts[at : at + AT_ONCE], at, steps, guidance) for at in range(0, len(prompts), AT_ONCE)]
    return np.concatenate(rows)


def _some(artist: Artist, prompts: list[str], first: int, steps: int, guidance: float | None) -> Any:
    usual = Wish(prompt="", seeds=(0,)).guidance if guidance is None else guidance
    wish = Wish(prompt="", seeds=tuple(range(first, first + len(prompts))), steps=steps, guidance=usual)
    sketch: Sketch = artist.begun(wish)
    sketch.idea = np.stack([artist.idea(prompt, seed) for seed, prompt in enumerate(prompts, first)])
    while not sketch.done:
        artist.advance(sketch)
    return np.stack(
        [artist.painted(guess, artist.colour(prompt)) for guess, prompt in zip(sketch.guess, prompts, strict=True)]
    )


def sheet(artist: Artist, target: Path) -> None:
    """Three rows of eight."""
    whole = Image.new("RGB", (TILE * SHEET, TILE * len(PROMPTS) // SHEET), "white")
    for place, painted in enumerate(drawn(artist, list(PROMPTS))):
        tile = finished(painted, (TILE, TILE), filled=False, transparent=False)
        whole.paste(tile, (place % SHEET * TILE, place // SHEET * TILE))
    whole.save(target, quality=80)
