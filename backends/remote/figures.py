"""What the metrics show of the upstreams of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from backends.figures import Figure, Kind, Sample
from backends.remote.upstream import Upstream

OF: Final = "upstream"


def figures(upstreams: Sequence[Upstream], retries_denied: int, now: float) -> Iterator[Figure]:
    """The figures openai_proxy_upstream_*, at the time `now` of the pool's clock."""

    def gauge(name: str, text: str, value: Callable[[Upstream], float | None]) -> Figure:
        return _figure(name, "gauge", text, ((each, value(each)) for each in upstreams))

    yield gauge("up", "0 while probes or a refused connection say that it is down", lambda each: not each.down)
    yield gauge("outstanding", "requests that it has now", lambda each: each.outstanding)
    yield gauge(
        "ejected", "1 while it is left out for doing worse than the others", lambda each: now < each.ejected_until
    )
    yield gauge("circuit_open", "1 from failures in a row until a request succeeds", lambda each: each.circuit.open)
    yield gauge("drained", "1 while an operator keeps new work away", lambda each: each.drained)
    yield gauge("first_byte_seconds", "moving average from sending to first byte", lambda each: each.first_byte)
    requests = [
        Sample("_total", {"upstream": each.name, "outcome": outcome}, count)
        for each in upstreams
        for outcome, count in each.counts.items()
    ]
    yield Figure("requests", "counter", "requests sent there, by how they ended", requests, of=OF)
    yield _figure(
        "retries", "counter", "requests that came there after another try", ((each, each.retries) for each in upstreams)
    )
    yield Figure(
        "retries_denied",
        "counter",
        "retries that the budget did not allow",
        [Sample("_total", {}, retries_denied)],
        of=OF,
    )


def _figure(name: str, kind: Kind, text: str, values: Iterable[tuple[Upstream, float | None]]) -> Figure:
    suffix = "_total" if kind == "counter" else ""
    samples = [Sample(suffix, {"upstream": each.name}, float(value)) for each, value in values if value is not None]
    return Figure(name, kind, text, samples, of=OF)
