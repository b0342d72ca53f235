"""Who gets a request, and what takes an upstream out of the choice and back."""

from __future__ import annotations

from collections import Counter

import pytest

from backends.remote.choosing import Hints
from backends.remote.lease import Lease
from backends.remote.pool import NoUpstream, Pool
from backends.remote.reports import Report
from backends.remote.settings import read_settings
from backends.remote.upstream import Failure
from tests.backends.remote.turning import Clock, options, pool


@pytest.fixture
def clock() -> Clock:
    return Clock()


def used(pool: Pool, count: int = 12) -> Counter[str]:
    """Where so many requests go, one after the other."""
    names: Counter[str] = Counter()
    for _ in range(count):
        with pool.lease() as lease:
            names[lease.upstream.name] += 1
            lease.succeeded()
    return names


def at(pool: Pool, name: str) -> Lease:
    """A lease at this upstream."""
    others: list[Lease] = []
    while True:
        lease = pool.lease()
        if lease.upstream.name == name:
            for other in others:
                other.close()
            return lease
        others.append(lease)


def fails(pool: Pool, name: str, times: int, kind: Failure = "error") -> None:
    for _ in range(times):
        with at(pool, name) as lease:
            lease.failed(kind)


def words(pool: Pool) -> dict[str, str]:
    return {each.name: each.state for each in pool.state.upstreams}


def none_of(pool: Pool) -> NoUpstream:
    with pytest.raises(NoUpstream) as caught:
        pool.lease()
    return caught.value


def test_a_lease_counts_until_it_is_closed(clock: Clock) -> None:
    own = pool(clock, "a")
    [upstream] = own.upstreams
    with own.lease(Hints(tokens=500)) as lease:
        assert (upstream.outstanding, upstream.work) == (1, 1500)
        lease.succeeded()
    lease.close()
    lease.answered()
    assert (upstream.outstanding, upstream.work, upstream.counts["succeeded"]) == (0, 0, 1)


def test_least_is_the_default_and_goes_round(clock: Clock) -> None:
    own = pool(clock, "a", "b", "c")
    assert used(own) == {"a": 4, "b": 4, "c": 4}
    leases = [own.lease() for _ in range(9)]
    assert [upstream.outstanding for upstream in own.upstreams] == [3, 3, 3]
    for lease in leases:
        lease.close()


def test_the_strategy_is_what_the_options_say(clock: Clock) -> None:
    weighty = Pool(options({"name": "a", "weight": 3}, {"name": "b"}, strategy="weighted"), clock=clock)
    assert used(weighty) == {"a": 9, "b": 3}
    for strategy, hints in (("prefix", Hints(prefix=b"x")), ("session", Hints(session=b"x"))):
        loyal = pool(clock, "a", "b", "c", strategy=strategy)
        assert len({_once(loyal, hints) for _ in range(20)}) == 1


def _once(pool: Pool, hints: Hints) -> str:
    with pool.lease(hints) as lease:
        return lease.upstream.name


def test_a_session_falls_over_and_comes_home(clock: Clock) -> None:
    own = pool(clock, "a", "b", "c", strategy="session")
    home = _once(own, Hints(session=b"s"))
    own.drain(home)
    away = {_once(own, Hints(session=b"s")) for _ in range(5)}
    assert len(away) == 1
    assert home not in away
    own.undrain(home)
    assert _once(own, Hints(session=b"s")) == home


def test_slots_bound_what_an_upstream_has(clock: Clock) -> None:
    own = Pool(options({"name": "a", "slots": 1}, {"name": "b", "slots": 2}), clock=clock)
    assert own.slots == 3
    leases = [own.lease() for _ in range(3)]
    assert [upstream.outstanding for upstream in own.upstreams] == [1, 2]
    error = none_of(own)
    assert (error.reason, error.retry_after) == ("full", 1.0)
    leases.pop().close()
    own.lease().close()
    assert pool(clock, "a", "b").slots is None


def test_a_retry_goes_to_another_one_first(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    for _ in range(4):
        first = own.lease()
        second = own.lease(tried=[first.upstream])
        assert second.upstream is not first.upstream
        third = own.lease(tried=[first.upstream, second.upstream])
        for lease in (first, second, third):
            lease.close()
    assert sum(upstream.retries for upstream in own.upstreams) == 8


def test_a_retry_that_must_go_elsewhere_goes_nowhere_else(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    with own.lease() as first, own.lease(tried=[first.upstream], elsewhere=True) as second:
        assert second.upstream is not first.upstream
        with pytest.raises(NoUpstream, match="No other") as caught:
            own.lease(tried=[first.upstream, second.upstream], elsewhere=True)
    assert (caught.value.reason, own.retries_denied) == ("unavailable", 0)


def test_who_was_never_seen_comes_last(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    for upstream in own.upstreams:
        upstream.await_first()
    with own.lease() as first, own.lease() as second:
        assert {first.upstream.name, second.upstream.name} == {"a", "b"}  # better than nothing
    own.upstreams[1].probed(True, False, "", Report(), clock.now)
    assert used(own, 10) == {"b": 10}
    with own.lease(tried=[own.upstreams[1]], elsewhere=True) as retry:
        assert retry.upstream is own.upstreams[0]
    own.upstreams[0].probed(True, False, "", Report(), clock.now)
    assert used(own, 10) == {"a": 5, "b": 5}
    own.upstreams[0].await_first()
    assert not own.upstreams[0].awaited


def test_retries_end_where_the_budget_does(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    used(own, 100)
    for _ in range(30):
        own.lease(tried=[own.upstreams[0]]).close()
    with pytest.raises(NoUpstream) as caught:
        own.lease(tried=[own.upstreams[0]])
    assert (caught.value.reason, own.retries_denied) == ("budget", 1)
    assert used(own, 1)  # a first try is never denied


def test_no_retry_is_paid_that_has_nowhere_to_go(clock: Clock) -> None:
    own = pool(clock, "a")
    before = own.budget.retries
    own.drain("a")
    with pytest.raises(NoUpstream, match="No server"):
        own.lease(tried=[own.upstreams[0]])
    assert own.budget.retries == before


def test_five_failures_in_a_row_keep_work_away_for_ten_seconds(clock: Clock) -> None:
    own = pool(clock, "a", "b", slow_start=0)
    fails(own, "a", 4)
    assert used(own)["a"] == 6  # a success between
    fails(own, "a", 5)
    assert words(own) == {"a": "open", "b": "unknown"}
    clock.now += 9.9
    assert used(own) == {"b": 12}
    clock.now += 0.2
    trying = at(own, "a")
    assert used(own) == {"b": 12}
    trying.answered()  # a stream may last for minutes: its first byte is enough
    trying.close()
    assert used(own)["a"] == 6


def test_the_one_that_tries_may_be_abandoned(clock: Clock) -> None:
    own = pool(clock, "a", slow_start=0)
    fails(own, "a", 5)
    error = none_of(own)
    assert (error.reason, error.retry_after) == ("unavailable", 10.0)
    clock.now += 10
    trying = own.lease()
    assert none_of(own).retry_after == 1.0
    trying.close()
    own.lease().close()


def test_streams_that_break_together_open_the_circuit_once(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    leases = [own.lease() for _ in range(100)]
    for lease in leases:
        clock.now += 0.1
        if lease.upstream.name == "a":
            lease.failed("broken")
        lease.close()
    assert own.upstreams[0].circuit.until < clock.now + 2


def test_retry_after_is_honoured_but_not_for_ever(clock: Clock) -> None:
    own = pool(clock, "a", "b", slow_start=0)
    with at(own, "a") as lease:
        lease.busy(5.0)
    assert used(own) == {"b": 12}
    assert words(own)["a"] == "busy"
    clock.now += 5
    assert used(own)["a"] == 6
    with at(own, "a") as lease:
        lease.busy(1e9)
    clock.now += 60
    assert used(own)["a"] == 6
    assert own.upstreams[0].counts["busy"] == 2


def test_the_soonest_return_is_told(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    for name, seconds in (("a", 20.0), ("b", 7.5)):
        with at(own, name) as lease:
            lease.busy(seconds)
    error = none_of(own)
    assert (error.reason, error.retry_after) == ("full", 7.5)


def test_busy_is_no_failure(clock: Clock) -> None:
    own = pool(clock, "a")
    for _ in range(20):
        with own.lease() as lease:
            lease.busy(None)
    assert words(own) == {"a": "unknown"}


def test_without_probes_a_refused_connection_is_a_failure_like_others(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    with at(own, "a") as lease:
        lease.refused()
    assert used(own)["a"] == 6
    assert own.upstreams[0].counts["refused"] == 1


def test_a_drained_upstream_gets_nothing_new(clock: Clock) -> None:
    own = pool(clock, "a", "b", slow_start=0)
    running = at(own, "a")
    own.drain("a")
    clock.now += 3
    assert used(own) == {"b": 12}
    [state, _] = own.state.upstreams
    assert (state.state, state.outstanding, state.since) == ("draining", 1, 3.0)
    running.succeeded()
    running.close()
    assert words(own)["a"] == "drained"
    own.drain("b")
    assert none_of(own).retry_after == 60.0
    own.undrain("a")
    assert used(own) == {"a": 12}


def test_an_upstream_may_begin_drained(clock: Clock) -> None:
    own = Pool(options({"name": "a", "drained": True}, {"name": "b"}), clock=clock)
    assert (used(own), words(own)["a"], own.state.available) == ({"b": 12}, "drained", 1)


def test_draining_nobody_is_an_error(clock: Clock) -> None:
    own = pool(clock, "box-1", "box-2")
    with pytest.raises(ValueError, match="did you mean 'box-1'"):
        own.drain("box_1")
    with pytest.raises(ValueError, match="known are box-1, box-2"):
        own.undrain("wholly else")


def test_one_that_came_back_starts_slowly(clock: Clock) -> None:
    own = pool(clock, "a", "b", strategy="weighted", slow_start=10)
    own.drain("a")
    own.undrain("a")
    shares = []
    for _ in range(3):
        shares.append(used(own, 100)["a"])
        assert words(own)["a"] == "starting"
        clock.now += 4
    assert shares == pytest.approx([9, 29, 44], abs=2)  # 0.1, 0.4 and 0.8 beside 1
    assert used(own, 100)["a"] == 50
    assert (words(own)["a"], own.upstreams[0].clear) == ("unknown", True)


def test_alone_it_gets_all_the_work_at_once(clock: Clock) -> None:
    own = pool(clock, "a")
    own.drain("a")
    own.undrain("a")
    assert used(own) == {"a": 12}


def test_the_first_byte_is_timed(clock: Clock) -> None:
    own = pool(clock, "a")
    for seconds in (1.0, 2.0):
        with own.lease() as lease:
            clock.now += seconds
            lease.answered()
            clock.now += 100
            lease.succeeded()
    assert own.upstreams[0].first_byte == pytest.approx(1.1)


def test_options_of_the_circuit_count() -> None:
    clock = Clock()
    own = pool(clock, "a", circuit_failures=1, circuit_pause=3)
    fails(own, "a", 1)
    assert none_of(own).retry_after == 3.0


def test_nothing_of_a_request_stays(clock: Clock) -> None:
    own = pool(clock, "a", "b", "c")
    kinds: list[Failure] = ["broken", "timeout", "error", "malformed"]
    for turn in range(400):
        clock.now += 1
        with own.lease(Hints(tokens=turn)) as lease:
            if turn % 10 < 4:
                lease.failed(kinds[turn % 10])
            elif turn % 10 < 9:
                lease.succeeded()
    assert all((upstream.outstanding, upstream.work) == (0, 0) for upstream in own.upstreams)
    assert sum(sum(upstream.counts.values()) for upstream in own.upstreams) == 400


def test_options_are_enough_to_build_a_pool() -> None:
    own = Pool(read_settings("m", {}, [{"url": "http://box:8000"}]))
    assert used(own, 1) == {"box:8000": 1}
