"""The supervisor's loop: descriptors, timers and signals, without threads and without anything that a fork would share.

asyncio's loop would live on in every worker that is forked from it, with the kernel's event queue in common.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

Call = Callable[[], None]
WAKEUPS = 4096


class Timer:
    """A call to come. `call` None: called off, or done."""

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def cancel(self) -> None:
        self.call = None


class Watcher:
    """Calls what is due, one thing after the other. `stop` returns to the system what it holds of it."""

    def __init__(self, signals: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._signals = signals
        self._arrived: list[int] = []
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        self.watch(self._wake[0], select.POLLIN, lambda _: self._drain())
        self._before: dict[signal.Signals, Any] = {number: signal.signal(number, self._on_signal) for number in signals}
        self._wakeup_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)

    def _on_signal(self, number: int, _: object) -> None:
        self._arrived.append(number)

    def _drain(self) -> None:
        os.read(self._wake[0], WAKEUPS)

    def watch(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Call with what happened whenever one of the `events` (as in `select.poll`) did; again to change it."""
        self._poll.register(descriptor, events)
        self._calls[descriptor] = call

    def forget(self, descriptor: int) -> None:
        if self._calls.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def later(self, seconds: float, call: Call) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def turn(self) -> None:
        """Wait until something happens, then see to all of it."""
        for descriptor, events in self._poll.poll(self._patience()):
            call = self._calls.get(descriptor)
            if call is not None:
                call(events)
        while self._arrived:
            self._signals[signal.Signals(self._arrived.pop(0))]()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due = heapq.heappop(self._timers)[2].call
            if due is not None:
                due()

    def _patience(self) -> float | None:
        """Milliseconds until the next timer; rounded up, so that it is due then."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic()) * 1000 + 1

    def stop(self) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for end in self._wake:
            os.close(end)

    def let_go(self) -> None:
        """In a new process: ignore these signals, with no moment in between in which one would end it."""
        self._before = dict.fromkeys(self._before, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN this is not what programs that are started from here begin with."""
