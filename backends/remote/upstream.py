"""One server behind a model: what it has to do, and whether it may get more."""

from __future__ import annotations

from math import inf
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from backends import UpstreamState
from backends.remote.circuit import Circuit
from backends.remote.options import Options, UpstreamOptions
from backends.remote.reports import Report

Word: TypeAlias = Literal["unknown", "up", "starting", "busy", "ejected", "open", "down", "draining", "drained"]
Failure: TypeAlias = Literal["broken", "timeout", "error", "malformed"]
Outcome: TypeAlias = Literal["succeeded", "refused", "busy", "abandoned", Failure]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

REQUEST = 1000  # tokens that a request counts for beside its own, in `work`
LEAST_RAMP = 0.1  # where slow start begins
SMOOTHING = 0.1  # weight of the newest first-byte latency
MISSES = 2  # failed probes that make an upstream down
MOST_BUSY = 60.0  # seconds of a Retry-After that are honoured


class Window(Struct):
    """How requests ended since the last look at outliers."""

    good: int = 0
    bad: int = 0


class Upstream:
    """`clear` is a shortcut for the hot path: nothing is known that keeps work away or lessens its share.

    `outstanding` counts requests, `work` their estimated tokens and REQUEST for each. `share` is the weight, less
    during slow start; `waiting` and `full` are what the last probe reported. While it is `awaited` nothing has told yet
    that it is there, and those of which that is known come first. Times are in seconds, of the pool's clock.
    """

    __slots__ = (
        *("_down", "_drained", "_known", "_misses", "_reason", "_slow_start", "_undrained"),
        *("answered", "awaited", "busy_until", "changed", "circuit", "clear", "counts", "credit", "ejected"),
        *("ejected_until", "ejections", "first_byte", "index", "full", "last", "name", "options", "outstanding"),
        *("ramps", "retries"),
        *("seed", "share", "slots", "waiting", "weight", "why_ejected", "window", "work"),
    )

    def __init__(self, index: int, options: UpstreamOptions, model: Options, seed: int = 0) -> None:
        self.index = index
        self.name = options.called
        self.options = options
        self.seed = seed
        self.weight = self.share = float(options.weight)
        self.slots: float = inf if options.slots is None else options.slots
        self.outstanding = self.work = self.last = 0
        self.credit = 0.0
        self.circuit = Circuit(model.circuit_failures, model.circuit_pause)
        self.waiting, self.full = 0, False
        self.window = Window()
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.retries = 0
        self.first_byte: float | None = None
        self.answered = self.changed = self.ramps = self.busy_until = self.ejected = self.ejected_until = -inf
        self.ejections = 0
        self.why_ejected = ""
        self._slow_start = model.slow_start
        self._drained = options.drained
        self._known = self._down = False
        self._misses = 0
        self._reason = ""
        self.awaited = False
        self.clear = not options.drained

    def takes_after(self, former: Upstream, model: Options, *, alike: bool) -> None:
        """It is the server that `former` was before a reload: what was learnt of that one holds.

        Where it is not asked `alike`, with another key for example, its failures and latencies say nothing any more.
        Both count in one place, and in one circuit: requests to the former one may still run.
        """
        self.counts, self.retries = former.counts, former.retries
        if self.options.drained == former.options.drained:  # else the settings say anew what shall be
            self._drained = former._drained
        self.clear = False
        if not alike:
            return
        self.circuit = former.circuit
        self.circuit.set(model.circuit_failures, model.circuit_pause)
        self.first_byte, self.answered, self.ramps = former.first_byte, former.answered, former.ramps
        self.busy_until, self.changed = former.busy_until, former.changed
        self.ejected, self.ejected_until = former.ejected, former.ejected_until
        self.ejections, self.why_ejected = former.ejections, former.why_ejected
        if model.probe_every:  # without probes nothing would find it up again
            self._known, self._down = former._known, former._down
            self._misses, self._reason = former._misses, former._reason

    def forget(self) -> None:
        """Nothing has told yet whether it is there."""
        self._known = self._down = False

    @property
    def down(self) -> bool:
        """Probes, or a connection that was refused, say that it is not there."""
        return self._down

    @property
    def reason(self) -> str:
        """Why it is down."""
        return self._reason

    @property
    def unknown(self) -> bool:
        """Nothing has told yet whether it is there."""
        return not self._known

    @property
    def drained(self) -> bool:
        return self._drained

    def admits(self, now: float, *, ejected: bool = False) -> bool:
        """Whether it may get work, slots aside; also while it is ejected or awaited if `ejected` says so.

        Makes it `clear` again when all that was in the way has passed.
        """
        if self._down or self._drained or now < self.busy_until or self.circuit.stops(now):
            return False
        if now < self.ejected_until or self.awaited:
            return ejected
        ramp = self.ramp(now)
        self.share = self.weight * ramp
        self.clear = ramp == 1 and not self.circuit.open
        return True

    def opens(self, now: float) -> float:
        """Seconds until it may get work, as far as one can know: 0 if only its slots can be in the way."""
        if self._drained:
            return inf
        if self._down:
            return 1.0
        if self.circuit.open and self.circuit.trying:
            return 1.0
        until = max(self.busy_until, self.circuit.until if self.circuit.open else -inf)
        return max(0.0, until - now)

    def ramp(self, now: float) -> float:
        """Its part of its weight, 0.1 to 1: grows for some seconds after it came back."""
        if now - self.ramps >= self._slow_start:
            return 1.0
        return max(LEAST_RAMP, (now - self.ramps) / self._slow_start)

    def comes_back(self, now: float) -> None:
        """It may get work again, or will at `now`: slowly at first, as its caches are cold."""
        self.ramps = now
        self.credit = 0.0
        self.clear = False

    def probed(self, good: bool, refused: bool, reason: str, report: Report, now: float) -> None:
        """A probe ended: one that is refused makes it down at once, others only MISSES of them in a row."""
        self.waiting, self.full = report.waiting, report.full
        if good:
            self._misses = 0
            self._goes_up(now)
            return
        self._misses += 1
        if refused or self._misses >= MISSES:
            self.goes_down(reason, now)

    def goes_down(self, reason: str, now: float) -> None:
        self._reason = reason
        self.clear = False
        if not self._down:
            self._down = self._known = True
            self.changed = now

    def _goes_up(self, now: float) -> None:
        if self._down:
            # What was counted before is no fault of the server that is there now.
            self.circuit.close(now)
            self.window = Window()
            self.first_byte = None
            self.comes_back(now)
        if self._down or not self._known:
            self.changed = now
        self._known, self._down, self._reason, self.awaited = True, False, "", False

    def passed_over(self, seconds: float, now: float) -> None:
        """It said itself when to come again: honoured for at most MOST_BUSY seconds."""
        self.busy_until = max(self.busy_until, now + min(seconds, MOST_BUSY))
        self.clear = False

    def eject(self, seconds: float, why: str, now: float) -> None:
        self.ejected, self.ejected_until, self.why_ejected = now, now + seconds, why
        self.ejections += 1
        self.comes_back(self.ejected_until)

    def await_first(self) -> None:
        """A first probe will tell whether it is there."""
        if not self._known:
            self.awaited, self.clear = True, False

    def drain(self, now: float) -> None:
        """No new work; what runs there goes on."""
        if not self._drained:
            self._drained, self.clear, self.changed = True, False, now

    def undrain(self, now: float) -> None:
        if self._drained:
            self._drained, self.changed = False, now
            self.comes_back(now)

    def answers(self, began: float, now: float) -> None:
        """The first byte is there of the answer to what was sent at `began`."""
        self.answered = now
        self.awaited = False
        known = self.first_byte
        self.first_byte = now - began if known is None else known + SMOOTHING * (now - began - known)
        if self.circuit.open:
            self.recovers(began, now)  # others need not wait until this answer ends

    def recovers(self, began: float, now: float) -> None:
        """A request that was sent at `began` went well, after others that did not."""
        if self.circuit.succeeded(began, now):
            self.comes_back(now)

    def went_wrong(self, began: float, now: float) -> None:
        """A request that was sent at `began` broke, and the upstream is to blame."""
        self.window.bad += 1
        if self.circuit.failed(began, now):
            self.clear = False

    def state(self, now: float) -> UpstreamState:
        word, why, since = self._word(now)
        return UpstreamState(
            self.name,
            word,
            self.outstanding,
            why,
            None if since == -inf else now - since,
            self.weight,
            self.options.slots,
            self.first_byte,
        )

    def _word(self, now: float) -> tuple[Word, str, float]:
        """The strongest of what may be said of it, why, and when it began."""
        if self._drained:
            return "draining" if self.outstanding else "drained", "drained by its operator", self.changed
        if self._down:
            return "down", self._reason, self.changed
        if self.circuit.open:
            return "open", "it failed several times in a row", self.circuit.changed
        if now < self.busy_until:
            return "busy", f"it asked to wait {self.busy_until - now:.1f} s more", -inf
        if now < self.ejected_until:
            return "ejected", self.why_ejected, self.ejected
        if now - self.ramps < self._slow_start:
            return "starting", f"gets {self.ramp(now):.0%} of its share", self.ramps
        return "up" if self._known else "unknown", "", self.changed
