"""Counters and gauges, in Prometheus's terms. One registry a server, so that two servers in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from backends.figures import Figure
from openai_proxy.tallies import Count, Spread, Tally

Kind = TypeVar("Kind", Tally[Count], Tally[Spread], Gauge)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Engines(Collector):
    """What the models' engines tell of themselves, asked for when somebody reads it.

    A series of several models is one family: Prometheus takes a name only once.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sources: dict[str, Callable[[], Iterable[Figure]]] = {}
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for model, source in self.sources.items():
            for figure in source():
                own = {} if ":" in figure.name else {"model": model}
                name = f"openai_proxy_{figure.of}_{figure.name}" if own else figure.name
                family = families.setdefault(name, Metric(name, figure.text, figure.kind))
                for sample in figure.samples:
                    family.add_sample(name + sample.suffix, {**own, **sample.labels}, sample.value)
        return families.values()


class Metrics:
    """All metrics of a server. Label values come from routes, configuration and tables, never from a client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._of_models: list[Tally[Count] | Tally[Spread] | Gauge] = []
        self.http_requests = self._counter("http_requests", "finished HTTP requests", "route", "method", "status")
        self.http_seconds = self._histogram("http_request_seconds", "whole HTTP exchange", "route")
        self.connections = self._gauge("connections", "open client connections")
        self.connections_refused = self._counter("connections_refused", "connections over a limit", "reason")
        self.running = self._gauge("requests_running", "requests in an engine", "model")
        self.waiting = self._gauge("requests_waiting", "requests waiting for a slot", "model")
        self.requests = self._counter("requests", "requests by how they ended", "model", "outcome")
        self.canceled = self._counter("canceled", "requests ended early", "model", "reason")
        self.timeouts = self._counter("timeouts", "timers that ran out", "timer")
        self.retries = self._counter("retries", "calls to an engine that were repeated", "model")
        self.prompt_tokens = self._counter("prompt_tokens", "tokens read", "model")
        self.completion_tokens = self._counter("completion_tokens", "tokens written", "model")
        self.queue_seconds = self._histogram("queue_seconds", "waiting for a slot", "model")
        self.first_event_seconds = self._histogram("first_event_seconds", "slot to first event", "model")
        self.first_audio_seconds = self._histogram("first_audio_seconds", "slot to first sound", "model")
        factor = "seconds of work for one second of sound, of each answer"
        self.real_time_factor = self._histogram("speech_real_time_factor", factor, "model")
        self.audio_seconds = self._counter("speech_seconds", "seconds of sound that were made", "model")
        self.model_ready = self._gauge("model_ready", "1 while the model can answer", "model")
        self.model_state = self._gauge("model_state", "1 for the state a model is in", "model", "state")
        self.engine_restarts = self._counter("engine_restarts", "engines started again after a death", "model")
        self.fetches = self._counter("media_fetches", "pictures fetched by address, by how it ended", "outcome")
        self.fetch_seconds = self._histogram("media_fetch_seconds", "fetching one of them").labels()
        self.fetched_bytes = self._counter("media_fetched_bytes", "what they had").labels()
        self.jobs = self._counter("jobs", "jobs that ended, by the protocol that brought them", "origin", "state")
        self.jobs_kept = self._gauge("jobs_kept", "jobs in the store, as of a few seconds ago", "state")
        self.jobs_kept_bytes = self._gauge("jobs_kept_bytes", "requests, answers and files of all jobs")
        self.jobs_running = self._gauge("jobs_running", "jobs that an engine works on, as the store knows", "model")
        self.jobs_waiting = self._gauge("jobs_waiting", "jobs that wait for their turn", "model")
        self.job_waiting_seconds = self._histogram("job_waiting_seconds", "jobs from arrival to slot", "model")
        self.job_running_seconds = self._histogram("job_running_seconds", "jobs from slot to end", "model")
        self.webhooks = self._counter("webhooks", "calls of webhooks, by how they ended", "event", "outcome")
        self.webhook_seconds = self._histogram("webhook_seconds", "one of these calls").labels()
        self.webhooks_given_up = self._counter("webhooks_given_up", "webhooks that never arrived").labels()
        lost = "work on jobs that was cut off by the death of a process"
        self.job_attempts_lost = self._counter("job_attempts_lost", lost).labels()
        self.config_revision = self._gauge("config_revision", "counts configurations taken since the start")
        self.engines = Engines(self.registry)
        self.config_rejected = self._counter("config_rejected", "configurations refused while running").labels()

    def forget(self, model: str) -> None:
        """Drop all that was told of a model that is gone for good: it would be told for ever otherwise."""
        self.engines.sources.pop(model, None)
        for metric in self._of_models:
            metric.remove_by_labels({"model": model})

    def _counter(self, name: str, text: str, *labels: str) -> Tally[Count]:
        return self._kept(Tally(Count, f"openai_proxy_{name}", text, labels, self.registry), labels)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._kept(Gauge(f"openai_proxy_{name}", text, labels, registry=self.registry), labels)

    def _histogram(self, name: str, text: str, *labels: str) -> Tally[Spread]:
        return self._kept(Tally(Spread, f"openai_proxy_{name}", text, labels, self.registry), labels)

    def _kept(self, metric: Kind, labels: tuple[str, ...]) -> Kind:
        if "model" in labels:
            self._of_models.append(metric)
        return metric

    def render(self) -> bytes:
        """The text exposition of all metrics."""
        return generate_latest(self.registry)
