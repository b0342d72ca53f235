"""The figures of several processes as one: counters and histograms are added up, and do not go back when one ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

# Gauges that count something. Of the others, which say how something is, the largest is told.
COUNTING = frozenset(
    {
        "openai_proxy_connections",
        "openai_proxy_requests_running",
        "openai_proxy_requests_waiting",
        "openai_proxy_engine_requests_running",
        "openai_proxy_engine_requests_waiting",
        "openai_proxy_upstream_outstanding",
    }
)
Key = tuple[str, tuple[tuple[str, str], ...]]


class Family(Struct):
    """One metric: the values by the sample's name and labels, in the order in which they are told."""

    name: str
    text: str
    kind: str
    values: dict[Key, float]

    def drop(self, models: frozenset[str]) -> None:
        """Keep what is of no model, or of one of these."""
        for key in [key for key in self.values if dict(key[1]).get("model") not in (None, *models)]:
            del self.values[key]


Figures = dict[str, Family]


def figures(registry: CollectorRegistry) -> Figures:
    """All that a registry tells now."""
    found: Figures = {}
    for metric in registry.collect():
        values = {(sample.name, tuple(sample.labels.items())): sample.value for sample in metric.samples}
        found[metric.name] = Family(metric.name, metric.documentation, metric.type, values)
    return found


def added(several: Iterable[Figures]) -> Figures:
    """All of them together."""
    total: Figures = {}
    for each in several:
        for name, family in each.items():
            sums = total.setdefault(name, Family(name, family.text, family.kind, {})).values
            for key, value in family.values.items():
                if key not in sums:
                    sums[key] = value
                elif family.kind == "gauge" and name not in COUNTING:
                    sums[key] = max(sums[key], value)
                else:
                    sums[key] += value
    return total


def lasting(found: Figures) -> Figures:
    """What still counts when the process has ended: no gauges."""
    return {name: family for name, family in found.items() if family.kind in ("counter", "histogram")}


class Told:
    """Figures in the form that Prometheus's client renders."""

    def __init__(self, found: Figures) -> None:
        self._found = found

    def collect(self) -> Sequence[Metric]:
        metrics = []
        for family in self._found.values():
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.values.items():
                metric.add_sample(name, dict(labels), value)
            metrics.append(metric)
        return metrics


def render(found: Figures) -> bytes:
    """The text exposition."""
    return generate_latest(cast(CollectorRegistry, Told(found)))
