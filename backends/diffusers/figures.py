"""What the metrics show of engines that draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backends.diffusers.easel import Tallies
from backends.figures import Figure, Sample

COUNTED: Final = {
    "pictures": "pictures that were finished",
    "picture_batches": "calls of the pipeline, each for one picture or several",
    "picture_steps": "steps of these calls",
    "picture_stops": "calls that were given up, as all who wanted their pictures had left",
}
WAITING: Final = "pictures_waiting"
OWN: Final = (*COUNTED, WAITING)


def figures(tallies: Tallies, waiting: int) -> Iterator[Figure]:
    """The figures openai_proxy_engine_picture*."""
    counts = (tallies.pictures, tallies.batches, tallies.steps, tallies.stopped)
    for (name, text), count in zip(COUNTED.items(), counts, strict=True):
        yield Figure(name, "counter", text, [Sample("_total", {}, count)])
    yield Figure(WAITING, "gauge", "pictures that were asked for and are not begun", [Sample("", {}, waiting)])
