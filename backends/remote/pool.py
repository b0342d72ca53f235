"""The upstreams of one model: who gets a request, and what is known of each."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import inf
from typing import Literal, TypeAlias

from msgspec import Struct

from backends import State, UnknownUpstream, UpstreamState
from backends.figures import Figure
from backends.remote import outliers
from backends.remote.budget import Budget
from backends.remote.choosing import STRATEGIES, Hints, digest
from backends.remote.figures import figures
from backends.remote.heirs import asked_alike, pairs
from backends.remote.lease import Lease
from backends.remote.options import Options
from backends.remote.probing import Probe, Prober
from backends.remote.upstream import Upstream

log = logging.getLogger(__name__)

Reason: TypeAlias = Literal["unavailable", "full", "budget"]
NOTHING = Hints()
SOON = 1.0  # seconds: the shortest wait worth telling


class NoUpstream(Exception):
    """No upstream takes this request now. `reason`: none can work, all have as much as they may, or too many retries.

    `retry_after` is in seconds. Raised at once: nobody waits here.
    """

    def __init__(self, message: str, *, reason: Reason, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class PoolState(Struct, frozen=True):
    """`available` upstreams would get a request now; more details by upstream."""

    available: int
    upstreams: tuple[UpstreamState, ...]


class Pool:
    """Leases upstreams to requests. For one event loop; `clock` gives seconds at that loop's pace.

    Without a `probe`, or with `probe_every = 0`, only the requests themselves tell what is wrong. `changed` is called
    when an upstream went down or came back, or was drained or undrained. The log names the `model`.
    """

    def __init__(
        self,
        options: Options,
        probe: Probe | None = None,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
        model: str = "",
    ) -> None:
        self._model = model
        self.clock = clock
        self._options = options
        self._changed = changed
        self.upstreams = tuple(
            Upstream(index, each, options, seed=digest(each.called.encode()))
            for index, each in enumerate(options.upstreams)
        )
        self.budget = Budget(options.retry_budget)
        self.retries_denied = 0
        self._choose = STRATEGIES[options.strategy]
        self._eject = options.eject
        self._look_at = clock() + outliers.EVERY
        self._turn = 0
        self._prober: Prober | None = None
        if probe is not None and options.probe_every:
            self._prober = Prober(
                self.upstreams, probe, options.probe_every, options.probe_timeout, clock, self._flipped
            )

    @property
    def slots(self) -> int | None:
        """How many requests the upstreams take at once; None where one takes any number."""
        slots = sum(upstream.slots for upstream in self.upstreams)
        return None if slots == inf else int(slots)

    def lease(
        self,
        hints: Hints = NOTHING,
        tried: Collection[Upstream] = (),
        among: Sequence[Upstream] | None = None,
        *,
        elsewhere: bool = False,
    ) -> Lease:
        """An upstream for a request, by the model's strategy. To be closed; it counts from now on.

        `tried` are those that this request was already sent to: it then is a retry, and goes to another one if there
        is any, with `elsewhere` to no other. `among` are those that have the model, if not all do. Raises NoUpstream.
        """
        upstreams = self.upstreams if among is None else among
        now = self.clock()
        if now >= self._look_at:
            self._look(now)
        candidates = [
            upstream
            for upstream in upstreams
            if (upstream.clear or upstream.admits(now)) and upstream.outstanding < upstream.slots
        ] or self._last_resort(upstreams, now)
        if tried:
            candidates = _untried(candidates, upstreams, tried, now, elsewhere=elsewhere)
            self._pay(now)
        else:
            self.budget.earn(now)
        upstream = candidates[0] if len(candidates) == 1 else self._choose(candidates, hints)
        if tried:
            upstream.retries += 1
        if not upstream.clear:
            upstream.circuit.take()
        self._turn += 1
        upstream.last = self._turn
        return Lease(self, upstream, hints.tokens, now)

    def _last_resort(self, upstreams: Sequence[Upstream], now: float) -> list[Upstream]:
        """Those that were ejected or never seen: better than nothing. Raises NoUpstream."""
        free = _at_worst(upstreams, now)
        if free:
            return free
        if any(upstream.admits(now, ejected=True) for upstream in upstreams):
            raise NoUpstream("Every server of this model is at its limit.", reason="full", retry_after=SOON)
        soonest = min(upstream.opens(now) for upstream in upstreams)
        retry_after = 60.0 if soonest == inf else max(soonest, SOON)
        if any(now < upstream.busy_until and not (upstream.down or upstream.drained) for upstream in upstreams):
            raise NoUpstream("Every server of this model has too much to do.", reason="full", retry_after=retry_after)
        raise NoUpstream("No server of this model can answer now.", reason="unavailable", retry_after=retry_after)

    def _pay(self, now: float) -> None:
        if not self.budget.spend(now):
            self.retries_denied += 1
            raise NoUpstream("Too many requests had to be sent again.", reason="budget", retry_after=SOON)

    def _look(self, now: float) -> None:
        self._look_at = now + outliers.EVERY
        if self._eject:
            outliers.look(self.upstreams, now)

    def unreachable(self, upstream: Upstream, reason: str) -> None:
        """A connection was refused: it is down until a probe finds it up again."""
        if self._prober is not None:
            down = upstream.down
            upstream.goes_down(reason, self.clock())
            if not down:
                self._flipped(upstream)
            self._prober.hurry(upstream)

    def suspect(self, upstream: Upstream) -> None:
        """A request failed there: find out at once whether it is gone."""
        if self._prober is not None:
            self._prober.hurry(upstream)

    def _flipped(self, upstream: Upstream) -> None:
        """It went down or came back."""
        now = f"down: {upstream.reason}" if upstream.down else "up"
        log.warning("model %s: upstream %s is %s", self._model, upstream.name, now)
        self._changed()

    def take_after(self, former: Pool) -> Iterator[tuple[Upstream, Upstream]]:
        """It replaces a pool: keep what is known of the upstreams that stay. Gives those, each with its former one."""
        self.retries_denied = former.retries_denied
        for upstream, before in pairs(self.upstreams, former.upstreams):
            alike = asked_alike(upstream.options, before.options)
            upstream.takes_after(before, self._options, alike=alike)
            if alike:
                yield upstream, before

    def start(self) -> None:
        """Begin to probe, all upstreams at once. Needs a running event loop."""
        if self._prober is not None:
            for upstream in self.upstreams:
                upstream.await_first()
            self._prober.start()

    async def close(self) -> None:
        """End the probes. Safe to call twice; the pool may be started again."""
        if self._prober is not None:
            await self._prober.close()

    def drain(self, name: str) -> None:
        """No new work for this upstream; what runs there goes on. Raises UnknownUpstream."""
        self._named(name).drain(self.clock())
        self._changed()

    def undrain(self, name: str) -> None:
        """Give it work again. Raises UnknownUpstream."""
        self._named(name).undrain(self.clock())
        self._changed()

    def _named(self, name: str) -> Upstream:
        names = {upstream.name: upstream for upstream in self.upstreams}
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise UnknownUpstream(f"no upstream is called {name!r}; {hint}")
        return names[name]

    @property
    def standing(self) -> State:
        """Whether the model can answer, as far as it is known of the upstreams."""
        count = len(self.upstreams)
        down = sum(upstream.down for upstream in self.upstreams)
        drained = sum(upstream.drained and not upstream.down for upstream in self.upstreams)
        if down + drained < count:
            return State("ready", f"{count - down - drained} of {count} upstreams" if down + drained else "")
        if not drained:
            return State("restarting", f"none of {count} upstreams can be reached")
        return State("restarting", f"of {count} upstreams {drained} drained and {down} down")

    @property
    def state(self) -> PoolState:
        now = self.clock()
        available = [each for each in self.upstreams if each.admits(now) and each.outstanding < each.slots]
        return PoolState(len(available), tuple(upstream.state(now) for upstream in self.upstreams))

    def figures(self) -> Iterable[Figure]:
        """What the metrics show of the upstreams."""
        return figures(self.upstreams, self.retries_denied, self.clock())


def _at_worst(upstreams: Sequence[Upstream], now: float) -> list[Upstream]:
    """All that may get work in need."""
    return [each for each in upstreams if each.admits(now, ejected=True) and each.outstanding < each.slots]


def _untried(
    candidates: list[Upstream],
    upstreams: Sequence[Upstream],
    tried: Collection[Upstream],
    now: float,
    *,
    elsewhere: bool,
) -> list[Upstream]:
    """Those that a retry may go to. Raises NoUpstream."""
    for able in (candidates, _at_worst(upstreams, now)):
        others = [upstream for upstream in able if upstream not in tried]
        if others:
            return others
    if elsewhere:
        raise NoUpstream("No other server of this model can answer now.", reason="unavailable", retry_after=SOON)
    return candidates
