"""A circuit breaker: an engine that failed several times in a row gets a pause, then one probe."""

from __future__ import annotations

import time

from backends.errors import Unavailable

FAILURES = 5
PAUSE = 10.0


class Paused(Unavailable):
    """The engine of this model failed several times in a row and is given a pause."""


class Circuit:
    """Closed until `FAILURES` failures in a row; then open for `PAUSE` seconds; then one request may try.

    One that does not `watch` stays closed.
    """

    def __init__(self, *, watch: bool = True) -> None:
        self.failures = 0
        self._watch = watch
        self._opened = 0.0
        self._probing = False

    @property
    def _rest(self) -> float:
        return self._opened + PAUSE - time.monotonic()

    @property
    def open(self) -> bool:
        """Whether nobody may try: it is open, or its one probe is on the way."""
        return self.failures >= FAILURES and (self._probing or self._rest > 0)

    def check(self) -> None:
        """Raises Paused while it is `open`. Who is let in after the pause is the probe."""
        if self.open:
            raise Paused(retry_after=max(self._rest, 1.0))
        self._probing = self.failures >= FAILURES

    def succeeded(self) -> None:
        self.failures = 0
        self._probing = False

    def failed(self) -> None:
        self.failures += self._watch
        self._opened = time.monotonic()
        self._probing = False

    def abandoned(self) -> None:
        """The request ended without a verdict on the engine: canceled, or refused for its own fault."""
        self._probing = False
