"""Stop strings over a stream: nothing of a stop string gets out, nothing else is lost."""

from __future__ import annotations


class StopMatcher:
    """Holds back text that could be the beginning of a stop string, until it is or is not.

    Of several matches the one that begins first counts, and of those the longest, whatever the chunks were. With
    `keep` the stop string itself gets out, as the end of the text.
    """

    def __init__(self, stops: tuple[str, ...], *, keep: bool = False) -> None:
        self.stops = stops
        self._keep = keep
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """The text that may go out now, and whether a stop string ended it (then feed no more)."""
        held = self._held + text
        found = [at for at in map(held.find, self.stops) if at >= 0]
        beginning = self._beginning(held)
        if found and min(found) <= beginning:
            self._held = ""
            return self._before(held, min(found)), True
        self._held = held[beginning:]
        return held[:beginning], False

    def flush(self) -> str:
        """The text still held when the stream ended without a stop string; a whole one in it still counts."""
        held, self._held = self._held, ""
        found = [at for at in map(held.find, self.stops) if at >= 0]
        return self._before(held, min(found)) if found else held

    def _before(self, held: str, at: int) -> str:
        kept = max(len(stop) for stop in self.stops if held.startswith(stop, at)) if self._keep else 0
        return held[: at + kept]

    def _beginning(self, held: str) -> int:
        """Where the earliest suffix starts that a stop string begins with, short of being whole."""
        longest = max(map(len, self.stops))
        for at in range(max(0, len(held) - longest + 1), len(held)):
            if any(len(stop) > len(held) - at and stop.startswith(held[at:]) for stop in self.stops):
                return at
        return len(held)
