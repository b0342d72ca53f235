"""Which upstreams do far worse than the others, by the requests themselves: those get a pause, each time a longer one.

After Envoy's outlier detection (www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier). A circuit
sees an upstream that always fails; this sees one that fails often, or is slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from backends.remote.upstream import Upstream, Window

EVERY = 10.0  # seconds between two looks
FEWEST = 10  # requests since the last look, to say anything
WORSE, OFTEN = 3.0, 0.1  # times the others' failure rate, and so much more
SLOWER, SLOW = 4.0, 0.5  # times the others' first-byte latency, and so many seconds more
PAUSE, LONGEST = 30.0, 300.0  # seconds


def look(upstreams: Sequence[Upstream], now: float) -> None:
    """Eject whoever is far off, the worst first; never so many that half of all or more get no work."""
    windows = [upstream.window for upstream in upstreams]
    failing = [(_failing(windows, upstream), upstream) for upstream in upstreams]
    slow = [(_slow(upstreams, upstream), upstream) for upstream in upstreams]
    worst = sorted([*failing, *slow], key=lambda each: -each[0][0])
    for (degree, why), upstream in worst:
        if degree > 1 and not _idle(upstream, now) and _spare(upstreams, now):
            upstream.eject(min(PAUSE * (upstream.ejections + 1), LONGEST), why, now)
            upstream.first_byte = None  # what it takes once it is back is another matter
    for upstream in upstreams:
        if upstream.ejections and now >= upstream.ejected_until + PAUSE:
            upstream.ejections -= 1
        upstream.window = Window()


def _spare(upstreams: Sequence[Upstream], now: float) -> bool:
    """Whether one more may be without work."""
    return (sum(_idle(each, now) for each in upstreams) + 1) * 2 <= len(upstreams)


def _idle(upstream: Upstream, now: float) -> bool:
    """Whether it gets no work already."""
    return now < upstream.ejected_until or upstream.down or upstream.drained or upstream.circuit.open


def _failing(windows: Sequence[Window], upstream: Upstream) -> tuple[float, str]:
    """Its failure rate over the highest that the others' allow; above 1 is too much."""
    own = upstream.window
    if own.good + own.bad < FEWEST:
        return 0.0, ""
    good, bad = (sum(values) for values in zip(*((each.good, each.bad) for each in windows), strict=True))
    others = good + bad - own.good - own.bad
    if others < FEWEST:
        return 0.0, ""
    rate, their = own.bad / (own.good + own.bad), (bad - own.bad) / others
    return rate / (WORSE * their + OFTEN), f"{rate:.0%} of its requests failed, {their:.0%} of the others'"


def _slow(upstreams: Sequence[Upstream], upstream: Upstream) -> tuple[float, str]:
    """Its first-byte latency over the highest that the others' allow; above 1 is too much."""
    own = upstream.first_byte
    others = [each.first_byte for each in upstreams if each is not upstream and each.first_byte is not None]
    if own is None or not others or upstream.window.good < FEWEST:
        return 0.0, ""
    their = median(others)
    return own / (SLOWER * their + SLOW), f"its first byte takes {own:.2f} s, the others' {their:.2f} s"
