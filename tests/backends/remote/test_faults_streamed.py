"""Streams of a bad upstream: what the client gets, who was asked, and what is counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.backends.remote.asking import asked, metrics, upstream_row
from tests.backends.remote.conftest import TIMEOUTS, Pair, own_client

CHUNKS = 8
SCRIPT = {"chunks": CHUNKS, "delay": 0.005}


class Case(NamedTuple):
    """A fault before the first byte: the answer's status and code, and the verdict on the upstream.

    `repeated`: who marks the request as repeatable gets another upstream's answer.
    """

    fault: str
    status: int
    code: str
    verdict: str
    repeated: bool = True


BEFORE = [
    Case("reset-before", 500, "engine_failed", "broken"),
    Case("close-before", 500, "engine_failed", "broken"),
    Case("stall-before", 504, "upstream_timeout", "timeout", repeated=False),
    Case("reset-after-0", 500, "engine_failed", "broken"),
    Case("stall-after-0", 504, "upstream_timeout", "timeout", repeated=False),
    Case("pings-after-0", 504, "upstream_timeout", "timeout", repeated=False),
    Case("status-500", 500, "engine_failed", "error"),
    Case("status-502-html", 502, "engine_failed", "error"),
    Case("wrong-type", 500, "engine_failed", "malformed"),
    Case("endless-head", 500, "engine_failed", "malformed"),
]
# After so many chunks, the code of the error event, and the verdict.
AFTER = [
    ("reset-after-3", 3, "engine_failed", "broken"),
    ("close-after-3", 3, "engine_failed", "broken"),
    ("stall-after-3", 3, "upstream_timeout", "timeout"),
    ("pings-after-3", 3, "upstream_timeout", "timeout"),
    ("malformed-sse", 4, "engine_failed", "malformed"),
    ("not-utf8", 4, "engine_failed", "malformed"),
    ("truncated-json", 4, "engine_failed", "malformed"),
    ("huge-chunk", 4, "engine_failed", "malformed"),
    ("error-event", 4, "engine_failed", "error"),
    ("error-event-done", 4, "engine_failed", "error"),
]


def verdicts(pair: Pair, verdict: str) -> float:
    return metrics(pair.server)[upstream_row("requests_total", "pair", "bad", verdict)]


@pytest.mark.parametrize("case", BEFORE, ids=lambda case: case.fault)
def test_before_the_first_byte_it_is_a_status(pair: Pair, case: Case) -> None:
    before = verdicts(pair, case.verdict)
    pair.bad.script(**SCRIPT, fault=case.fault)
    answer = asked(pair.server, "pair", user=pair.user, stream=True)
    assert (answer.status, answer.code) == (case.status, case.code)
    assert answer.clean
    assert answer.head["x-should-retry"] == "false"
    assert pair.counts() == (1, 0)
    assert verdicts(pair, case.verdict) == before + 1


@pytest.mark.parametrize("case", BEFORE, ids=lambda case: case.fault)
def test_a_repeatable_request_goes_to_another(pair: Pair, case: Case) -> None:
    pair.bad.script(**SCRIPT, fault=case.fault)
    answer = asked(pair.server, "pair", user=pair.user, stream=True, key="once")
    if case.repeated:
        assert answer.done
        assert answer.clean
        assert pair.counts() == (1, 1)
    else:
        assert (answer.status, answer.code) == (case.status, case.code)
        assert pair.counts() == (1, 0)


@pytest.mark.parametrize("fault", ["status-429", "status-503", "status-503-html"])
def test_a_full_upstream_passes_requests_on(pair: Pair, fault: str) -> None:
    pair.bad.script(**SCRIPT, fault=fault, retry_after=0)
    answer = asked(pair.server, "pair", user=pair.user, stream=True)
    assert answer.done
    assert answer.clean
    assert pair.counts() == (1, 1)


@pytest.mark.parametrize("key", [None, "once"])
@pytest.mark.parametrize(("fault", "chunks", "code", "verdict"), AFTER)
def test_after_the_first_byte_it_is_an_error_event(
    pair: Pair, fault: str, chunks: int, code: str, verdict: str, key: str | None
) -> None:
    before = metrics(pair.server)
    pair.bad.script(**SCRIPT, fault=fault)
    answer = asked(pair.server, "pair", user=pair.user, stream=True, key=key)
    assert (answer.status, answer.code) == (200, code)
    assert not answer.done
    assert not answer.clean
    assert answer.head["x-request-id"] in answer.events[-1]["error"]["message"]
    assert len(answer.chunks) == chunks
    assert pair.counts() == (1, 0)
    after = metrics(pair.server)
    row = upstream_row("requests_total", "pair", "bad", verdict)
    assert after[row] == before[row] + 1
    tokens = 'completion_tokens_total{model="pair"}'
    assert chunks <= after[tokens] - before[tokens] <= chunks + 1  # the event that opens a choice counts as one


@pytest.mark.parametrize("fault", ["no-done", "no-usage", "early-usage", "duplicate-usage", "bad-length", "crlf"])
def test_what_is_complete_is_good(pair: Pair, fault: str) -> None:
    """An answer whose every choice ended has its end, whatever else is odd about it; and its tokens are counted."""
    before = metrics(pair.server)
    pair.bad.script(**SCRIPT, fault=fault)
    asks: dict[str, Any] = {"stream_options": {"include_usage": True}}
    answer = asked(pair.server, "pair", user=pair.user, stream=True, **asks)
    assert answer.done
    assert answer.clean
    assert len(answer.chunks) == CHUNKS
    usages = [event["usage"] for event in answer.events if event.get("usage")]
    assert [usage["completion_tokens"] for usage in usages] == [CHUNKS] * (fault != "no-usage")
    assert pair.counts() == (1, 0)
    tokens = 'completion_tokens_total{model="pair"}'
    counted = metrics(pair.server)[tokens] - before[tokens]
    assert CHUNKS <= counted <= CHUNKS + 2 * (fault == "no-usage")


def test_a_slow_head_is_waited_for_within_bounds(pair: Pair) -> None:
    """Byte by byte the head takes longer than the first token may."""
    pair.bad.script(**SCRIPT, fault="slow-head")
    answer = asked(pair.server, "pair", user=pair.user, stream=True)
    assert (answer.status, answer.code) == (504, "upstream_timeout")
    assert answer.took < 1.5
    assert pair.counts() == (1, 0)


def test_bytes_without_events_hold_no_deadline_up(pair: Pair) -> None:
    pair.bad.script(**SCRIPT, fault="trickle")
    answer = asked(pair.server, "pair", user=pair.user, stream=True)
    assert answer.code == "upstream_timeout"
    assert answer.took < 2
    pair.bad.wait_for(lambda seen: seen.aborted, 1)


@own_client
def test_a_stream_without_end_is_ended(pair: Pair) -> None:
    pair.bad.script(delay=0.01, fault="endless-body")
    answer = asked(pair.server, "pair", user=pair.user, stream=True)
    assert (answer.status, answer.code) == (200, "upstream_timeout")
    assert not answer.clean
    assert TIMEOUTS["request"] - 0.1 <= answer.took < TIMEOUTS["request"] + 1.5
    assert len(answer.chunks) > 50
    pair.bad.wait_for(lambda seen: seen.aborted, 1)
