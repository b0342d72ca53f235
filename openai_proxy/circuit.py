"""A circuit breaker: an engine that failed several times in a row gets a pause, then one probe."""

from __future__ import annotations

import time

from backends.errors import Unavailable

FAILURES = 5
PAUSE = 10.0


class Circuit:
    """Closed until `FAILURES` failures in a row; then open for `PAUSE` seconds; then one request may try.

    One that does not `watch` stays closed.
    """

    def __init__(self, *, watch: bool = True) -> None:
        self.failures = 0
        self._watch = watch
        self._opened = 0.0
        self._probing = False

    def check(self) -> None:
        """Raises Unavailable while the circuit is open or its one probe is on the way."""
        if self.failures < FAILURES:
            return
        rest = self._opened + PAUSE - time.monotonic()
        if rest > 0 or self._probing:
            message = f"The engine of this model failed {FAILURES} times in a row and is given a pause."
            raise Unavailable(message, retry_after=max(rest, 1.0))
        self._probing = True

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
