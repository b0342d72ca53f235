"""vLLM's own figures, kept by us: they outlive an engine, and those of several engines stand side by side.

vLLM keeps them in the one registry of prometheus_client, from which each new engine removes those of the others. Its
logger takes the classes of its metrics from attributes, and these stand in for them. They are used from one thread,
the event loop's, and so need no lock; only a new engine registers its series in another.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from backends.figures import Figure, Kind, Sample

# vLLM makes a new label set for each combination of adapters that it has seen at work.
MOST_CELLS = 1000


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value

    def set_to_current_time(self) -> None:
        self.value = time.time()

    def samples(self, labels: Mapping[str, str], suffix: str) -> Iterator[Sample]:
        yield Sample(suffix, labels, self.value)


class Spread:
    """How many values fell into each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self, labels: Mapping[str, str], suffix: str) -> Iterator[Sample]:
        seen = 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            seen += count
            yield Sample("_bucket", {**labels, "le": bound}, seen)
        yield Sample("_count", labels, seen)
        yield Sample("_sum", labels, self.total)


class Series:
    """A metric: one cell for each set of its labels' values."""

    def __init__(self, name: str, kind: Kind, text: str, names: Sequence[str], bounds: Sequence[float]) -> None:
        self.name = name
        self.kind = kind
        self.text = text
        self.names = tuple(names)
        self.bounds = tuple(float(bound) for bound in bounds)
        self.cells: dict[tuple[str, ...], Number | Spread] = {}

    def labels(self, *values: Any, **named: Any) -> Number | Spread:
        """The cell of these values, in the order of the labels' names or by name."""
        given = values or tuple(named[name] for name in self.names)
        key = tuple(map(str, given))
        cell = self.cells.get(key)
        if cell is None:
            if len(self.cells) >= MOST_CELLS:
                del self.cells[next(iter(self.cells))]
            cell = self.cells[key] = Spread(self.bounds) if self.kind == "histogram" else Number()
        return cell

    def figure(self, **more: str) -> Figure:
        """All samples; with the labels `more` where the series does not have them."""
        suffix = "_total" if self.kind == "counter" else ""
        samples: list[Sample] = []
        for key, cell in list(self.cells.items()):
            samples += cell.samples({**more, **dict(zip(self.names, key, strict=True))}, suffix)
        return Figure(self.name, self.kind, self.text, samples)


class Own(Struct, frozen=True):
    """A series that has a name of ours too; `mean`: of the engine's ranks, not their sum."""

    theirs: str
    text: str
    mean: bool = False


OWN = {
    "requests_running": Own("vllm:num_requests_running", "requests in the engine's batches"),
    "requests_waiting": Own("vllm:num_requests_waiting", "requests that wait inside the engine"),
    "kv_cache_usage_ratio": Own("vllm:kv_cache_usage_perc", "share of the KV cache in use", mean=True),
    "prompt_tokens": Own("vllm:prompt_tokens", "prompt tokens that the engine took"),
    "generation_tokens": Own("vllm:generation_tokens", "tokens that the engine wrote"),
    "prefix_cache_queried_tokens": Own("vllm:prefix_cache_queries", "prompt tokens looked up in the prefix cache"),
    "prefix_cache_hit_tokens": Own("vllm:prefix_cache_hits", "prompt tokens found in the prefix cache"),
    "preemptions": Own("vllm:num_preemptions", "times a request lost its place in the KV cache"),
    "first_token_seconds": Own("vllm:time_to_first_token_seconds", "arrival at the engine to first token"),
    "inter_token_seconds": Own("vllm:inter_token_latency_seconds", "between tokens of one answer"),
    "queue_seconds": Own("vllm:request_queue_time_seconds", "waiting inside the engine"),
}


class Figures:
    """All series of a model. `gauge`, `counter` and `histogram` stand in for prometheus_client's classes."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._series: dict[str, Series] = {}

    def gauge(self, name: str, documentation: str = "", labelnames: Sequence[str] = (), **_: Any) -> Any:
        return self._kept(name, "gauge", documentation, labelnames)

    def counter(self, name: str, documentation: str = "", labelnames: Sequence[str] = (), **_: Any) -> Any:
        return self._kept(name.removesuffix("_total"), "counter", documentation, labelnames)

    def histogram(
        self,
        name: str,
        documentation: str = "",
        labelnames: Sequence[str] = (),
        buckets: Sequence[float] = (),
        **_: Any,
    ) -> Any:
        return self._kept(name, "histogram", documentation, labelnames, buckets)

    def _kept(self, name: str, kind: Kind, text: str, names: Iterable[str], bounds: Sequence[float] = ()) -> Any:
        """The series of that name, which an engine before may have begun; without labels its only cell."""
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = Series(name, kind, text, tuple(names), bounds)
        return series if series.names else series.labels()

    def ended(self) -> None:
        """The engine is gone: what it has now is nothing, what it has done stays."""
        for series in list(self._series.values()):
            for cell in list(series.cells.values()) if series.kind == "gauge" else ():
                cell.value = 0.0  # type: ignore[union-attr]

    def all(self) -> Iterator[Figure]:
        """vLLM's series under its names, and the most wanted under ours."""
        for name, own in OWN.items():
            series = self._series.get(own.theirs)
            if series is not None:
                yield _summed(name, own, series)
        for series in list(self._series.values()):
            yield series.figure(model_name=self._model)


def _summed(name: str, own: Own, series: Series) -> Figure:
    """One sample of the ranks' samples; sums of cumulative buckets are cumulative too."""
    sums: dict[tuple[str, str], float] = {}
    for sample in series.figure().samples:
        place = (sample.suffix, sample.labels.get("le", ""))
        sums[place] = sums.get(place, 0.0) + sample.value
    ranks = max(1, len(series.cells)) if own.mean else 1
    samples = [Sample(suffix, {"le": le} if le else {}, value / ranks) for (suffix, le), value in sums.items()]
    return Figure(name, series.kind, own.text, samples)
