"""Upstreams that do far worse than the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.remote import outliers
from backends.remote.pool import Pool
from backends.remote.upstream import Upstream
from tests.backends.remote.turning import Clock, pool


def ended(upstream: Upstream, good: int, bad: int, first_byte: float | None = 0.1) -> None:
    upstream.window.good, upstream.window.bad, upstream.first_byte = good, bad, first_byte


def ejected(own: Pool, now: float) -> list[str]:
    return [upstream.name for upstream in own.upstreams if now < upstream.ejected_until]


def looked(own: Pool, clock: Clock) -> list[str]:
    outliers.look(own.upstreams, clock.now)
    return ejected(own, clock.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def four(clock: Clock) -> Pool:
    own = pool(clock, "a", "b", "c", "d", slow_start=0)
    for upstream in own.upstreams:
        ended(upstream, 100, 0)
    return own


@pytest.mark.parametrize(
    ("bad", "others", "out"),
    [(10, 0, False), (12, 0, True), (30, 10, False), (45, 10, True), (100, 100, False)],
)
def test_one_that_fails_far_more_often_is_out(clock: Clock, four: Pool, bad: int, others: int, out: bool) -> None:
    for upstream in four.upstreams:
        ended(upstream, 100 - others, others)
    ended(four.upstreams[1], 100 - bad, bad)
    assert looked(four, clock) == (["b"] if out else [])


@pytest.mark.parametrize(("seconds", "out"), [(0.85, False), (0.95, True), (None, False)])
def test_one_whose_first_byte_takes_far_longer_is_out(
    clock: Clock, four: Pool, seconds: float | None, out: bool
) -> None:
    ended(four.upstreams[2], 100, 0, seconds)
    assert looked(four, clock) == (["c"] if out else [])


def test_a_few_requests_say_nothing(clock: Clock, four: Pool) -> None:
    ended(four.upstreams[0], 0, 9, 9.0)
    assert looked(four, clock) == []
    ended(four.upstreams[0], 0, 10)  # and the others had none since then
    assert looked(four, clock) == []


def test_why_is_told(clock: Clock, four: Pool) -> None:
    ended(four.upstreams[0], 50, 50)
    ended(four.upstreams[1], 50, 0, 3.0)
    outliers.look(four.upstreams, clock.now)
    clock.now += 2
    states = four.state.upstreams
    assert [(state.state, state.since) for state in states[:2]] == [("ejected", 2.0)] * 2
    assert [state.why for state in states[:2]] == [
        "50% of its requests failed, 0% of the others'",
        "its first byte takes 3.00 s, the others' 0.10 s",
    ]


def test_the_pause_grows_and_shrinks_again(clock: Clock, four: Pool) -> None:
    [bad, *others] = four.upstreams
    pauses = []
    for _ in range(12):
        for upstream in others:
            ended(upstream, 100, 0)
        ended(bad, 10, 90)
        outliers.look(four.upstreams, clock.now)
        pauses.append(bad.ejected_until - clock.now)
        clock.now = bad.ejected_until
    assert pauses[:3] == [30, 60, 90]
    assert pauses[-1] == 300
    clock.now += 30
    before = bad.ejections
    outliers.look(four.upstreams, clock.now)
    assert bad.ejections == before - 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 10)), min_size=1, max_size=9), st.data())
def test_never_more_than_half_are_without_work(ends: list[tuple[int, int, float]], data: st.DataObject) -> None:
    clock = Clock()
    own = pool(clock, *(f"box-{number}" for number in range(len(ends))))
    if data.draw(st.booleans()):
        own.drain("box-0")
    for _ in range(3):
        for upstream, (good, bad, seconds) in zip(own.upstreams, ends, strict=True):
            ended(upstream, good, bad, seconds)
        out = looked(own, clock)
        assert not out or (len(out) + own.upstreams[0].drained) * 2 <= len(ends)
        clock.now += 10


def test_the_pool_looks_by_itself(clock: Clock) -> None:
    own = pool(clock, "a", "b", "c")
    for _ in range(40):
        clock.now += 0.3
        with own.lease() as lease:
            if lease.upstream.name != "a" or lease.upstream.window.bad > lease.upstream.window.good:
                lease.succeeded()
            else:
                lease.failed("timeout")
    assert ejected(own, clock.now) == ["a"]
    names = set()
    for _ in range(9):
        with own.lease() as lease:
            names.add(lease.upstream.name)
    assert names == {"b", "c"}


def test_it_can_be_turned_off(clock: Clock) -> None:
    own = pool(clock, "a", "b", "c", eject=False)
    for upstream in own.upstreams:
        ended(upstream, 100, 0)
    ended(own.upstreams[0], 0, 100)
    clock.now += 60
    own.lease().close()
    assert ejected(own, clock.now) == []


def test_an_ejected_one_is_better_than_none(clock: Clock) -> None:
    own = pool(clock, "a", "b")
    own.upstreams[0].eject(30, "slow", clock.now)
    own.drain("b")
    with own.lease() as lease:
        assert lease.upstream.name == "a"
