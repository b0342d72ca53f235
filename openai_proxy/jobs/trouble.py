"""What may go wrong for long: a store that is away, a clock that is set."""

from __future__ import annotations

import logging
import time

from openai_proxy.errors import StoreFailed

# Seconds between two lines about the same trouble, and those without it after which it is over.
AGAIN, QUIET = 60.0, 15.0
# More than a clock that is put right slowly can be off, in seconds.
JUMP = 1.0

log = logging.getLogger("openai_proxy.jobs")


class Trouble:
    """Tells of what fails again and again once a minute, and when that is over."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._next = 0.0

    @property
    def lasts(self) -> bool:
        """Whether it failed of late."""
        return self._last is not None

    def tell(self, error: Exception) -> None:
        """It failed."""
        self._last = now = time.monotonic()
        if now >= self._next:
            self._next = now + AGAIN
            log.warning("jobs: %s", error, exc_info=None if isinstance(error, StoreFailed) else error)

    def over(self) -> None:
        """It did not fail."""
        if self._last is not None and time.monotonic() > self._last + QUIET:
            self._last, self._next = None, 0.0
            log.info("jobs: all is well again")


class Clock:
    """The clock on the wall, beside the one that nobody sets."""

    def __init__(self) -> None:
        self._apart = time.time() - time.monotonic()
        self._ahead = 0.0

    def ahead(self) -> float:
        """By how many seconds it was set forward since the process began: so much older all seems than it is."""
        apart = time.time() - time.monotonic()
        if apart - self._apart > JUMP:
            self._ahead += apart - self._apart
        self._apart = apart
        return self._ahead
