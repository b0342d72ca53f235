"""What the metrics tell of jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import get_args

from openai_proxy.jobs.job import State
from openai_proxy.jobs.store import Kept, Record, Unworked
from openai_proxy.metrics import Metrics


class Told:
    """Keeps the metrics of jobs. How many there are, `numbers` by model, is as it was when the store was last asked."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.numbers: Counter[str] = Counter()
        self._models: set[str] = set()

    def tell(self, kept: Iterable[Kept]) -> None:
        """All jobs of the store, of every process that shares it."""
        states: Counter[State] = Counter()
        models: Counter[tuple[str, State]] = Counter()
        size = 0
        self.numbers = Counter()
        for each in kept:
            self.numbers[each.model] += each.number
            states[each.state] += each.number
            models[each.model, each.state] += each.number
            size += each.size
        for state in get_args(State):
            self.metrics.jobs_kept.labels(state).set(states[state])
        self.metrics.jobs_kept_bytes.set(size)
        there = {model for model, state in models if state in ("queued", "running")}
        for model in there | self._models:
            self.metrics.jobs_waiting.labels(model).set(models[model, "queued"])
            self.metrics.jobs_running.labels(model).set(models[model, "running"])
        # One more time as 0, then not any more: the model may be gone for good.
        self._models = there

    def unworked(self, ended: Iterable[Unworked]) -> None:
        """These have ended while nobody worked on them: this process has said so."""
        for each in ended:
            self.metrics.jobs.labels(each.origin, each.state).inc()

    def ended(self, record: Record, state: State) -> None:
        """A job that this process worked on has ended so."""
        self.metrics.jobs.labels(record.origin, state).inc()
        if record.started is not None and record.finished is not None:
            self.metrics.job_waiting_seconds.labels(record.model).observe(max(0.0, record.started - record.created))
            self.metrics.job_running_seconds.labels(record.model).observe(max(0.0, record.finished - record.started))
