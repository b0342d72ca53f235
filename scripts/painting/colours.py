"""Pictures in other colours, so that a colour in the prompt acts: "a green apple", "a blue heart"."""

from __future__ import annotations

import numpy as np

from backends.emoji.colours import TARGETS, Floats, apart, main_hue

SYNONYMS = {
    "red": ("crimson", "scarlet"),
    "turquoise": ("teal", "cyan"),
    "blue": ("azure",),
    "purple": ("violet", "lilac"),
    "pink": ("magenta", "rose"),
    "grey": ("gray", "silver"),
    "yellow": ("golden",),
}
WORDS = {word: name for name in TARGETS for word in (name, *SYNONYMS.get(name, ()))}
# How much of what is not transparent must have one hue to be called by it.
CALLED = 0.6


def called(picture: Floats) -> str | None:
    """The one colour that a picture has, where it has one."""
    hue, share, _ = main_hue(picture)
    if share < CALLED:
        return None
    names = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
    name = min(names, key=lambda each: abs(float(apart(np.float32(hue), TARGETS[each][0]))))
    return name if abs(float(apart(np.float32(hue), TARGETS[name][0]))) < 16 else None
