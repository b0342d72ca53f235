"""Figures of several processes, added up; and what processes say to one another."""

from __future__ import annotations

import pytest

from backends.errors import Unavailable
from openai_proxy.errors import WrongState
from openai_proxy.metrics import Metrics
from openai_proxy.workers.frames import Frames, Message, frame
from openai_proxy.workers.sums import added, figures, lasting, render


def counted(times: int) -> Metrics:
    metrics = Metrics()
    metrics.requests.labels("m", "ok").inc(times)
    metrics.queue_seconds.labels("m").observe(0.02 * times)
    metrics.running.labels("m").set(times)
    metrics.model_ready.labels("m").set(1)
    metrics.config_revision.set(times)
    return metrics


def test_sums() -> None:
    text = render(added([figures(counted(1).registry), figures(counted(2).registry)])).decode()
    assert 'openai_proxy_requests_total{model="m",outcome="ok"} 3.0' in text
    assert 'openai_proxy_queue_seconds_bucket{le="0.025",model="m"} 1.0' in text
    assert 'openai_proxy_queue_seconds_count{model="m"} 2.0' in text
    assert 'openai_proxy_queue_seconds_sum{model="m"} 0.06' in text
    assert 'openai_proxy_requests_running{model="m"} 3.0' in text
    assert 'openai_proxy_model_ready{model="m"} 1.0' in text
    assert "openai_proxy_config_revision 2.0" in text


def test_one_alone_is_told_as_it_tells_itself() -> None:
    metrics = counted(3)
    assert render(figures(metrics.registry)) == metrics.render()


def test_what_lasts_has_no_gauges() -> None:
    found = lasting(figures(counted(1).registry))
    text = render(found).decode()
    assert "requests_total" in text
    assert "requests_running" not in text
    for family in found.values():
        family.drop(frozenset({"other"}))
    assert 'model="m"' not in render(found).decode()


def test_messages_arrive_whole_in_any_pieces() -> None:
    sent = [
        Message("order", ("m", "load", 3.0), 7),
        Message("order", WrongState("not now"), 7, answer=True),
        Message("order", Unavailable("gone", retry_after=4.0), 8, answer=True),
        Message("counted", figures(counted(1).registry)),
    ]
    data = b"".join(map(frame, sent))
    for size in (1, 7, len(data)):
        frames = Frames()
        got = [each for at in range(0, len(data), size) for each in frames.feed(data[at : at + size])]
        assert [(each.what, each.number, each.answer) for each in got] == [
            (each.what, each.number, each.answer) for each in sent
        ]
        assert got[0] == sent[0]
        assert got[3] == sent[3]
        assert str(got[1].content) == "not now"
        assert got[2].content.retry_after == pytest.approx(4.0)
