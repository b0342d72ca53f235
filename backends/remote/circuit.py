"""A circuit breaker: an upstream that failed several times in a row gets a pause, then one request may try."""

from __future__ import annotations

from math import inf


class Circuit:
    """Closed until `most` failures in a row; then open for `pause` seconds; then one request may try.

    `began` is when a request with a verdict was sent. Verdicts on what was sent before the last change do not count:
    a hundred streams that break at once open it once, and an old one that ends well does not close it.
    """

    __slots__ = ("_most", "_pause", "changed", "failures", "open", "trying", "until")

    def __init__(self, most: int, pause: float) -> None:
        self._most = most
        self._pause = pause
        self.failures = 0
        self.changed = -inf
        self.open = False
        self.trying = False
        self.until = -inf

    def set(self, most: int, pause: float) -> None:
        """From now on it opens after `most` failures, for `pause` seconds."""
        self._most, self._pause = most, pause

    def stops(self, now: float) -> bool:
        """Whether no request may go there."""
        return self.open and (self.trying or now < self.until)

    def take(self) -> None:
        """A request is sent: while the circuit is open it is the one that tries."""
        self.trying = self.open

    def succeeded(self, began: float, now: float) -> bool:
        """True when this closed it."""
        if began < self.changed:
            return False
        self.failures = 0
        if self.open:
            self.close(now)
            return True
        return False

    def failed(self, began: float, now: float) -> bool:
        """True when this opened it, for the first time or again."""
        if began < self.changed:
            return False
        self.failures += 1
        if not self.open and self.failures < self._most:
            return False
        self.open, self.trying = True, False
        self.changed, self.until = now, now + self._pause
        return True

    def abandoned(self, began: float) -> None:
        """A request ended without a verdict: canceled, or refused for its own fault. Another one may try."""
        if began >= self.changed:
            self.trying = False

    def close(self, now: float) -> None:
        """Start anew: it succeeded, or another server is there now."""
        self.open = self.trying = False
        self.failures = 0
        self.changed = now
