"""What the metrics tell of jobs."""

from __future__ import annotations

from openai_proxy.jobs.store import Kept
from openai_proxy.jobs.told import Told
from openai_proxy.metrics import Metrics
from tests.jobs.stores import record


def figures(metrics: Metrics) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in metrics.render().decode().splitlines() if line.startswith("openai_proxy_")]
    return {name.removeprefix("openai_proxy_"): float(value) for name, value in lines}


def test_jobs_are_counted_by_state_and_by_model() -> None:
    metrics = Metrics()
    told = Told(metrics)
    told.tell([Kept("a", "queued", 3, 30), Kept("a", "running", 2, 20), Kept("b", "queued", 1, 5)])
    found = figures(metrics)
    assert [found[f'jobs_kept{{state="{state}"}}'] for state in ("queued", "running", "failed")] == [4, 2, 0]
    assert (found['jobs_waiting{model="a"}'], found['jobs_running{model="a"}'], found['jobs_waiting{model="b"}']) == (
        (3, 2, 1)
    )
    assert found["jobs_kept_bytes"] == 55
    assert (told.numbers["a"], told.numbers["b"], told.numbers["c"]) == (5, 1, 0)
    told.tell([Kept("a", "succeeded", 5, 70)])
    found = figures(metrics)
    assert (found['jobs_kept{state="queued"}'], found['jobs_kept{state="succeeded"}']) == (0, 5)
    assert (found['jobs_waiting{model="a"}'], found['jobs_waiting{model="b"}']) == (0, 0)
    metrics.forget("a")
    told.tell([])
    assert not any('model="a"' in name for name in figures(metrics)), "a model that is gone leaves no series"


def test_times_are_from_arrival_to_slot_and_from_there_to_the_end() -> None:
    metrics = Metrics()
    told = Told(metrics)
    told.ended(record(created=100.0, started=103.0, finished=104.5), "succeeded")
    told.ended(record(created=100.0, started=99.0, finished=98.0), "failed")  # clocks of two machines
    told.ended(record(created=100.0, finished=104.5), "canceled")
    found = figures(metrics)
    assert (found['job_waiting_seconds_sum{model="echo"}'], found['job_running_seconds_sum{model="echo"}']) == (
        3.0,
        1.5,
    )
    assert found['job_waiting_seconds_count{model="echo"}'] == 2
    assert found['jobs_total{origin="test",state="canceled"}'] == 1
