"""What the metrics show of upstreams."""

from __future__ import annotations

from openai_proxy.metrics import Metrics
from tests.backends.remote.turning import Clock, pool


def test_upstreams_are_shown_by_model_and_name() -> None:
    clock, metrics = Clock(), Metrics()
    own = pool(clock, "a", "b", circuit_failures=1)
    metrics.engines.sources["big"] = own.figures
    with own.lease() as first:
        clock.now += 0.5
        first.succeeded()
    with own.lease(tried=[own.upstreams[0]]) as second:
        second.failed("timeout")
    own.upstreams[0].eject(30, "slow", clock.now)
    own.upstreams[1].goes_down("gone", clock.now)
    own.drain("b")
    own.lease()
    own.retries_denied = 3
    told = metrics.render().decode()
    for line in (
        'up{model="big",upstream="a"} 1.0',
        'up{model="big",upstream="b"} 0.0',
        'outstanding{model="big",upstream="a"} 1.0',
        'ejected{model="big",upstream="a"} 1.0',
        'ejected{model="big",upstream="b"} 0.0',
        'circuit_open{model="big",upstream="a"} 0.0',
        'circuit_open{model="big",upstream="b"} 1.0',
        'drained{model="big",upstream="b"} 1.0',
        'first_byte_seconds{model="big",upstream="a"} 0.5',
        'requests_total{model="big",outcome="succeeded",upstream="a"} 1.0',
        'requests_total{model="big",outcome="timeout",upstream="b"} 1.0',
        'requests_total{model="big",outcome="refused",upstream="b"} 0.0',
        'retries_total{model="big",upstream="b"} 1.0',
        'retries_denied_total{model="big"} 3.0',
    ):
        assert f"\nopenai_proxy_upstream_{line}\n" in told
    assert 'openai_proxy_upstream_first_byte_seconds{model="big",upstream="b"}' not in told
    assert "\n# TYPE openai_proxy_upstream_requests_total counter\n" in told
