"""Counters and histograms for one thread: the event loop's. Prometheus's client shows them, but need not lock them.

Its own counters take a lock at each step, which made up a tenth of a small request's cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Spread:
    """How many values fell into each bucket, and their sum; values are in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them: upper bound, and how many values are not above it."""
        seen = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip([*map(floatToGoString, BUCKETS), "+Inf"], self.counts, strict=True):
            seen += count
            buckets.append((bound, seen))
        return buckets


Cell = TypeVar("Cell", Count, Spread)


class Tally(Collector, Generic[Cell]):
    """A metric with labels: one cell for each set of their values."""

    def __init__(
        self, cell: type[Cell], name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self.name = name
        self.text = text
        self.label_names = labels
        self._cell: type[Cell] = cell
        self._cells: dict[tuple[str, ...], Cell] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Cell:
        """The cell of these label values, in the order of the labels' names."""
        cell = self._cells.get(values)
        if cell is None:
            assert len(values) == len(self.label_names)
            cell = self._cells[values] = self._cell()
        return cell

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Drop the cells that have all these values, as a gauge of Prometheus's client does."""
        wanted = [(self.label_names.index(name), value) for name, value in labels.items()]
        for values in [each for each in self._cells if all(each[place] == value for place, value in wanted)]:
            del self._cells[values]

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for values, cell in self._cells.items():
            if isinstance(family, HistogramMetricFamily) and isinstance(cell, Spread):
                family.add_metric(values, cell.cumulative(), cell.total)
            elif isinstance(family, CounterMetricFamily) and isinstance(cell, Count):
                family.add_metric(values, cell.value)
        return [family]

    def _family(self) -> CounterMetricFamily | HistogramMetricFamily:
        if self._cell is Spread:
            return HistogramMetricFamily(self.name, self.text, labels=self.label_names)
        return CounterMetricFamily(self.name, self.text, labels=self.label_names)
