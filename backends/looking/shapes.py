"""What the process that reads says of a picture."""

from __future__ import annotations

from msgspec import Struct


class Line(Struct, frozen=True):
    """Words that stand together, from `left` to `right` and `top` to `bottom`: shares of the upright picture's sides.

    `score` from 0 to 1 is how sure the reader is.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0


class Reading(Struct, frozen=True):
    """The lines of a picture in no order; how far it had to be turned to be upright, in degrees counterclockwise.

    `colours` are names and shares, the largest first. `unread` lines were too many.
    """

    lines: tuple[Line, ...] = ()
    turned: int = 0
    colours: tuple[tuple[str, float], ...] = ()
    unread: int = 0


class Answer(Struct, frozen=True):
    """One line on the process's output: a reading, or why there is none (canceled: empty)."""

    reading: Reading | None = None
    error: str = ""
