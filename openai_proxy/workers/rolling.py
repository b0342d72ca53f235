"""Replaces workers one after another: the new one takes connections before the old one takes no more."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable

from openai_proxy.errors import WrongState
from openai_proxy.workers.birth import Child
from openai_proxy.workers.crew import Crew
from openai_proxy.workers.watcher import Timer, Watcher

START_LIMIT = 60.0

log = logging.getLogger("openai_proxy.workers")


class Rolling:
    """At most one replacement at a time; `numbers` are those that are still to come."""

    def __init__(self, crew: Crew, watcher: Watcher, rows: int) -> None:
        self._crew = crew
        self._watcher = watcher
        self._rows = rows
        self._numbers: list[int] = []
        self._new: Child | None = None
        self._limit: Timer | None = None

    @property
    def busy(self) -> bool:
        return self._new is not None or bool(self._numbers)

    def begin(self, numbers: Iterable[int]) -> None:
        """Raises WrongState while another restart is under way, or too many workers of before still finish."""
        numbers = list(numbers)
        if self.busy:
            raise WrongState("The workers are being restarted already.")
        if len(self._crew.children) + len(numbers) > self._rows:
            raise WrongState("Workers of an earlier restart still finish what runs.")
        log.info("restarting the workers one after another")
        self._numbers = numbers
        self._next()

    def stop(self) -> None:
        self._numbers.clear()
        self._forget()

    def opened(self, child: Child) -> None:
        """A worker takes connections."""
        if child is self._new:
            self._forget()
            self._next()

    def gone(self, child: Child) -> bool:
        """A worker has ended; whether it was to take the place of one that still serves."""
        if child is not self._new:
            return False
        log.error("the restart ends here: a new worker did not come to serve")
        self.stop()
        return bool(self._crew.serving(child.number))

    def _next(self) -> None:
        if not self._numbers:
            log.info("all workers are restarted")
            return
        number = self._numbers.pop(0)
        self._limit = self._watcher.later(START_LIMIT, self._too_long)
        self._new = self._crew.begin(number)
        if self._new is None:
            self.stop()

    def _too_long(self) -> None:
        if self._new is not None:
            os.kill(self._new.pid, signal.SIGKILL)

    def _forget(self) -> None:
        self._new = None
        if self._limit is not None:
            self._limit.cancel()
