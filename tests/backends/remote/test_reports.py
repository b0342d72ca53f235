"""What is read out of vLLM's metrics."""

from __future__ import annotations

import pytest

from backends.remote.reports import Report, read_report

TEXT = b"""# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a b} c"} 3.0
vllm:num_requests_waiting{engine="1",model_name="x"} 4.0
vllm:num_requests_waiting_by_reason{engine="1"} 40.0
vllm:kv_cache_usage_perc{engine="0",model_name="x"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="x"} 0.5
"""


def test_engines_are_taken_together() -> None:
    assert read_report(TEXT) == Report(waiting=7, cache=0.5)


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (b"", Report()),
        (b"\x00\xff", Report()),
        (b"vllm:num_requests_waiting 2", Report(waiting=2)),
        (b"vllm:gpu_cache_usage_perc 0.5\n", Report(cache=0.5)),
        (b"vllm:kv_cache_usage_perc 7\n", Report(cache=1.0)),
        (b"vllm:num_requests_waiting NaN\nvllm:kv_cache_usage_perc x\n", Report()),
        (b"vllm:num_requests_waiting -1\nvllm:kv_cache_usage_perc 1e400\n", Report()),
    ],
)
def test_what_is_odd_says_nothing(text: bytes, report: Report) -> None:
    assert read_report(text) == report


@pytest.mark.parametrize(
    ("report", "full"), [(Report(1, 0.95), True), (Report(1, 0.94), False), (Report(0, 1.0), False)]
)
def test_full_is_a_full_cache_that_somebody_waits_for(report: Report, full: bool) -> None:
    assert report.full == full
