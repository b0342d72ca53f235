"""What /metrics tells of models that come and go."""

from __future__ import annotations

from openai_proxy.metrics import Metrics


def test_a_model_that_is_gone_leaves_no_series() -> None:
    metrics = Metrics()
    for model in ("gone", "kept"):
        metrics.running.labels(model).set_function(lambda: 1.0)
        metrics.requests.labels(model, "ok").inc()
        metrics.requests.labels(model, "canceled").inc()
        metrics.queue_seconds.labels(model).observe(0.1)
    metrics.timeouts.labels("queue").inc()
    metrics.forget("gone")
    metrics.forget("never there")
    told = metrics.render().decode()
    assert 'model="gone"' not in told
    assert 'openai_proxy_requests_running{model="kept"} 1.0' in told
    assert 'openai_proxy_requests_total{model="kept",outcome="canceled"} 1.0' in told
    assert 'openai_proxy_timeouts_total{timer="queue"} 1.0' in told
    metrics.requests.labels("gone", "ok").inc()
    assert 'openai_proxy_requests_total{model="gone",outcome="ok"} 1.0' in metrics.render().decode()
