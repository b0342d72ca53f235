"""The strategies, on upstreams of which each could take the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.remote.choosing import SLACK, Hints, digest, least, prefix, session, weighted
from backends.remote.upstream import REQUEST, Upstream
from tests.backends.remote.turning import options

WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def made(weights: Sequence[float]) -> list[Upstream]:
    model = options(*({"name": f"box-{number}", "weight": weight} for number, weight in enumerate(weights)))
    return [Upstream(n, each, model, digest(each.called.encode())) for n, each in enumerate(model.upstreams)]


def loaded(upstreams: Sequence[Upstream], *requests: int) -> None:
    for upstream, count in zip(upstreams, requests, strict=True):
        upstream.outstanding, upstream.work = count, count * REQUEST


def keys(count: int) -> list[Hints]:
    return [Hints(prefix=b"prompt %d" % number, session=b"session %d" % number) for number in range(count)]


def test_least_takes_the_one_with_the_least_to_do() -> None:
    upstreams = made([1, 1, 1])
    loaded(upstreams, 3, 1, 2)
    assert least(upstreams, Hints()) is upstreams[1]


def test_least_divides_by_the_weight() -> None:
    upstreams = made([1, 4])
    loaded(upstreams, 1, 6)
    assert least(upstreams, Hints()) is upstreams[1]  # 7 of 4 is less than 2 of 1
    loaded(upstreams, 1, 8)
    assert least(upstreams, Hints()) is upstreams[0]


def test_least_counts_a_long_prompt_for_more_than_a_short_one() -> None:
    upstreams = made([1, 1])
    loaded(upstreams, 1, 2)
    upstreams[0].work += 30_000
    assert least(upstreams, Hints()) is upstreams[1]


def test_least_goes_round_among_equals() -> None:
    upstreams = made([1, 1, 1])
    seen = []
    for turn in range(6):
        chosen = least(upstreams, Hints())
        chosen.last = turn + 1
        seen.append(chosen.index)
    assert seen == [0, 1, 2, 0, 1, 2]


def test_weighted_mixes_as_nginx_does() -> None:
    upstreams = made([5, 1, 1])
    assert [weighted(upstreams, Hints()).index for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]


@given(WEIGHTS, st.integers(1, 3))
def test_weighted_keeps_the_proportions_exactly(weights: list[int], rounds: int) -> None:
    upstreams = made(weights)
    counts = Counter(weighted(upstreams, Hints()).index for _ in range(rounds * sum(weights)))
    assert [counts[index] for index in range(len(weights))] == [rounds * weight for weight in weights]


@pytest.mark.parametrize("choose", [session, prefix])
@given(weights=WEIGHTS)
def test_one_that_leaves_takes_only_its_own_keys_along(choose: object, weights: list[int]) -> None:
    assert choose in (session, prefix)
    strategy = session if choose is session else prefix
    upstreams = made(weights)
    for hints in keys(30):
        before = strategy(upstreams, hints)
        for gone in upstreams:
            rest = [upstream for upstream in upstreams if upstream is not gone]
            if rest and gone is not before:
                assert strategy(rest, hints) is before


def test_sessions_fall_on_the_upstreams_by_weight() -> None:
    upstreams = made([1, 2, 5])
    counts = Counter(session(upstreams, hints).index for hints in keys(8000))
    assert [counts[index] / 1000 for index in range(3)] == pytest.approx([1, 2, 5], rel=0.1)


def test_the_keys_of_one_that_left_are_spread_over_the_others() -> None:
    upstreams = made([1] * 5)
    own = [hints for hints in keys(5000) if session(upstreams, hints) is upstreams[0]]
    counts = Counter(session(upstreams[1:], hints).index for hints in own)
    assert len(own) == pytest.approx(1000, rel=0.15)
    assert all(count == pytest.approx(len(own) / 4, rel=0.25) for count in counts.values())


def test_a_choice_is_the_same_in_every_process() -> None:
    """No seed of a process is in it: these were seen once."""
    upstreams = made([1, 1, 1])
    assert digest(b"prompt") == 14832251758147735480
    assert [session(upstreams, hints).index for hints in keys(8)] == [2, 1, 2, 2, 1, 0, 1, 1]


@pytest.mark.parametrize("strategy", [session, prefix])
def test_without_a_key_the_least_busy_is_taken(strategy: object) -> None:
    upstreams = made([1, 1])
    loaded(upstreams, 1, 0)
    assert (session if strategy is session else prefix)(upstreams, Hints()) is upstreams[1]


@given(WEIGHTS, st.lists(st.integers(0, 3), min_size=1, max_size=120), st.data())
def test_no_upstream_gets_more_than_its_bound(weights: list[int], prompts: list[int], data: st.DataObject) -> None:
    """However few prompts there are: the load of the one chosen is at most 1.25 times its even share, rounded up."""
    upstreams = made(weights)
    for prompt in prompts:
        chosen = prefix(upstreams, keys(4)[prompt])
        chosen.outstanding += 1
        total = sum(upstream.outstanding for upstream in upstreams)
        assert chosen.outstanding <= ceil(SLACK * total * chosen.weight / sum(weights))
        busy = [upstream for upstream in upstreams if upstream.outstanding]
        if data.draw(st.booleans()):
            data.draw(st.sampled_from(busy)).outstanding -= 1


def test_a_prompt_stays_with_its_upstream_while_loads_are_even() -> None:
    upstreams = made([1, 1, 1])
    loaded(upstreams, 10, 10, 10)
    for hints in keys(50):
        assert prefix(upstreams, hints).name == prefix(made([1, 1, 1]), hints).name


def test_requests_that_wait_in_the_engine_count_as_load() -> None:
    upstreams = made([1, 1])
    hints = keys(1)[0]
    own = prefix(upstreams, hints)
    loaded(upstreams, 4, 4)
    assert prefix(upstreams, hints) is own
    own.waiting = 8
    assert prefix(upstreams, hints) is not own


def test_a_full_cache_is_left_alone_while_another_has_room() -> None:
    upstreams = made([1, 1])
    loaded(upstreams, 8, 8)
    hints = keys(1)[0]
    own = prefix(upstreams, hints)
    own.full = True
    assert prefix(upstreams, hints) is not own
    for upstream in upstreams:
        upstream.full = True
    assert prefix(upstreams, hints) is own
