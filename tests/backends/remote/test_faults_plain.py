"""Whole answers of a bad upstream: what the client gets, who was asked, and what is counted."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.backends.remote.asking import asked, metrics, upstream_row
from tests.backends.remote.conftest import Pair, own_client

EMBEDDINGS = "/v1/embeddings"


class Case(NamedTuple):
    """The answer's status and code, and the verdict on the upstream. `repeated`: marked so, the request moves on."""

    fault: str
    status: int
    code: str
    verdict: str
    repeated: bool = True


CASES = [
    Case("reset-before", 500, "engine_failed", "broken"),
    Case("close-before", 500, "engine_failed", "broken"),
    Case("stall-before", 504, "upstream_timeout", "timeout", repeated=False),
    Case("reset-after-20", 500, "engine_failed", "broken"),
    Case("close-after-20", 500, "engine_failed", "broken"),
    Case("bad-length", 500, "engine_failed", "broken"),
    Case("status-500", 500, "engine_failed", "error"),
    Case("status-500-html", 500, "engine_failed", "error"),
    Case("status-504", 504, "upstream_timeout", "error"),
    Case("wrong-type", 500, "engine_failed", "malformed"),
    Case("not-utf8", 500, "engine_failed", "malformed"),
    Case("truncated-json", 500, "engine_failed", "malformed"),
    Case("endless-head", 500, "engine_failed", "malformed"),
]
# Retries have a budget, and this file's requests only just keep within it: one of those that are no answer will do.
QUICK = [case for case in CASES if case.repeated and case.fault != "not-utf8"]


def names(case: Case) -> str:
    return case.fault


@pytest.mark.parametrize("case", CASES, ids=names)
def test_it_is_a_status_and_told_once(pair: Pair, case: Case) -> None:
    """A chat may have begun to be worked on: it is not sent again."""
    row = upstream_row("requests_total", "pair", "bad", case.verdict)
    before = metrics(pair.server)[row]
    pair.bad.script(fault=case.fault)
    answer = asked(pair.server, "pair", user=pair.user)
    assert (answer.status, answer.code) == (case.status, case.code)
    assert answer.clean
    assert answer.head["x-should-retry"] == "false"
    assert pair.counts() == (1, 0)
    assert metrics(pair.server)[row] == before + 1


@pytest.mark.parametrize("case", QUICK, ids=names)
@pytest.mark.parametrize("stranger", [False, True], ids=["chat", "embeddings"])
def test_what_may_be_repeated_goes_to_another(pair: Pair, case: Case, stranger: bool) -> None:
    """A chat with an Idempotency-Key, and embeddings without one."""
    pair.bad.script(fault=case.fault)
    asks: dict[str, Any] = {"path": EMBEDDINGS, "input": "x"} if stranger else {"key": "once"}
    answer = asked(pair.server, "pair", user=pair.user, **asks)
    assert (answer.status, answer.clean) == (200, True)
    assert pair.counts() == (1, 1)


def test_nobody_is_asked_without_end(pair: Pair) -> None:
    """Where all are bad, two tries follow the first."""
    pair.bad.script(fault="close-before")
    pair.good.script(fault="close-before")
    answer = asked(pair.server, "pair", user=pair.user, key="once")
    assert (answer.status, answer.code) == (500, "engine_failed")
    assert sum(pair.counts()) == 3


@pytest.mark.parametrize("fault", ["status-429", "status-503", "status-401"])
def test_who_would_say_the_same_again_is_not_asked_again(pair: Pair, fault: str) -> None:
    pair.bad.script(fault=fault, retry_after=None)
    answer = asked(pair.server, "alone", key="once")
    assert answer.status == (502 if fault == "status-401" else int(fault[-3:]))
    assert pair.counts() == (1, 0)


@pytest.mark.parametrize("fault", ["status-400", "status-404", "status-422"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_clients_own_fault_is_told_and_says_nothing_against_the_upstream(
    pair: Pair, fault: str, stream: bool
) -> None:
    row = upstream_row("requests_total", "pair", "bad", "succeeded")
    before = metrics(pair.server)[row]
    pair.bad.script(fault=fault)
    answer = asked(pair.server, "pair", user=pair.user, stream=stream, key="once")
    assert answer.status == int(fault[-3:])
    assert pair.counts() == (1, 0)
    assert metrics(pair.server)[row] == before + 1


@pytest.mark.parametrize("stream", [False, True])
def test_who_refuses_our_key_is_not_the_only_one(pair: Pair, stream: bool) -> None:
    pair.bad.script(fault="status-401")
    answer = asked(pair.server, "pair", user=pair.user, stream=stream)
    assert answer.status == 200
    assert pair.counts() == (1, 1)
    alone = asked(pair.server, "alone", stream=stream)
    assert (alone.status, alone.code) == (502, "upstream_unauthorized")


@pytest.mark.parametrize("fault", ["no-usage", "huge-chunk", "slow-head"])
def test_what_is_complete_is_good(pair: Pair, fault: str) -> None:
    pair.bad.script(fault=fault)
    answer = asked(pair.server, "pair", user=pair.user)
    assert (answer.status, answer.clean) == (200, True)
    assert pair.counts() == (1, 0)


@own_client
@pytest.mark.parametrize("fault", ["trickle", "endless-body", "stall-after-20"])
def test_what_has_no_end_is_ended(pair: Pair, fault: str) -> None:
    pair.bad.script(fault=fault)
    answer = asked(pair.server, "pair", user=pair.user)
    assert answer.status in (500, 504)
    assert answer.took < 4
    assert pair.counts() == (1, 0)
    pair.bad.wait_for(lambda seen: seen.aborted, 1)
