"""Which voice a request means."""

from __future__ import annotations

from collections.abc import Sequence

from backends import Voice
from backends.errors import Refused

LISTED = 20


def chosen(name: str | None, voices: Sequence[Voice]) -> str:
    """The voice of that name, the first if none is asked for. Raises Refused with the list."""
    names = [voice.name for voice in voices]
    if name is None:
        return names[0]
    if name not in names:
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        raise Refused(f"There is no such voice; known are {', '.join(names[:LISTED])}{more}.", param="voice")
    return name
