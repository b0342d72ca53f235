"""What stands in for prometheus_client's classes under vLLM's logger."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backends.figures import Figure
from backends.vllm import figures as module
from backends.vllm.figures import Figures
from openai_proxy.metrics import Metrics

RANKS = (["m", "0"], ["m", "1"])
LABELS = ("model_name", "engine")


def named(figures: Figures) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures.all()}


def value(figure: Figure, suffix: str = "", **labels: str) -> float:
    [found] = [each.value for each in figure.samples if each.suffix == suffix and labels.items() <= each.labels.items()]
    return found


def filled() -> Figures:
    figures = Figures("m")
    running = figures.gauge("vllm:num_requests_running", "running", LABELS, multiprocess_mode="mostrecent")
    used = figures.gauge("vllm:kv_cache_usage_perc", "used", LABELS)
    written = figures.counter("vllm:generation_tokens", "written", LABELS)
    first = figures.histogram("vllm:time_to_first_token_seconds", "first", LABELS, buckets=[0.1, 1])
    for number, rank in enumerate(RANKS, start=1):
        running.labels(*rank).set(number)
        used.labels(*rank).set(number / 4)
        written.labels(*rank).inc(10 * number)
        first.labels(*rank).observe(0.05)
        first.labels(*rank).observe(number)
    return figures


def test_the_ranks_of_an_engine_are_one_model() -> None:
    found = named(filled())
    assert value(found["requests_running"]) == 3
    assert value(found["kv_cache_usage_ratio"]) == 0.375
    assert value(found["generation_tokens"], "_total") == 30
    first = found["first_token_seconds"]
    assert [value(first, "_bucket", le=bound) for bound in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
    assert value(first, "_count") == 4
    assert value(first, "_sum") == pytest.approx(3.1)
    assert value(found["vllm:num_requests_running"], engine="1", model_name="m") == 2


def test_an_engine_leaves_its_sums_to_the_next_and_takes_its_state_along() -> None:
    figures = filled()
    figures.ended()
    assert value(named(figures)["requests_running"]) == 0
    figures.counter("vllm:generation_tokens", "written", LABELS).labels(*RANKS[0]).inc()
    assert value(named(figures)["generation_tokens"], "_total") == 31


def test_series_without_a_model_get_it() -> None:
    figures = Figures("m")
    figures.gauge("vllm:cache_config_info", "info", ["block_size"]).labels(block_size=16).set(1)
    figures.counter("vllm:plain_total").inc(2)
    found = named(figures)
    assert value(found["vllm:cache_config_info"], model_name="m", block_size="16") == 1
    assert value(found["vllm:plain"], "_total", model_name="m") == 2


def test_label_sets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 2)
    figures = Figures("m")
    adapters = figures.gauge("vllm:lora_requests_info", "adapters", ["running"])
    for names in ("a", "a,b", "b"):
        adapters.labels(running=names).set_to_current_time()
    assert [sample.labels["running"] for sample in named(figures)["vllm:lora_requests_info"].samples] == ["a,b", "b"]


def test_two_models_are_one_family_each() -> None:
    metrics = Metrics()
    for model in ("one", "two"):
        figures = Figures(model)
        figures.counter("vllm:prompt_tokens", "read", LABELS).labels(model, "0").inc()
        metrics.engines.sources[model] = figures.all
    told = metrics.render().decode()
    assert told.count("# TYPE vllm:prompt_tokens_total counter") == 1
    assert told.count("# TYPE openai_proxy_engine_prompt_tokens_total counter") == 1
    for model in ("one", "two"):
        assert f'vllm:prompt_tokens_total{{engine="0",model_name="{model}"}} 1.0' in told
        assert f'openai_proxy_engine_prompt_tokens_total{{model="{model}"}} 1.0' in told
    assert list(text_string_to_metric_families(told))
    metrics.forget("one")
    assert '"one"' not in metrics.render().decode()
