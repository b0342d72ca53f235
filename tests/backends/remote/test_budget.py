"""The budget of retries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backends.remote.budget import EXPIRES, RESERVE, Budget

STEPS = st.lists(st.tuples(st.sampled_from(["earn", "spend", "wait"]), st.integers(1, 60)), max_size=60)


def spent(budget: Budget, now: float, most: int = 10_000) -> int:
    return sum(budget.spend(now) for _ in range(most))


def test_who_sends_little_has_a_reserve() -> None:
    assert spent(Budget(0.2), 0) == RESERVE


def test_of_many_requests_a_fifth_may_be_sent_again() -> None:
    budget = Budget(0.2)
    for _ in range(1000):
        budget.earn(1.0)
    assert spent(budget, 2.0) == 200 + RESERVE


def test_a_share_of_nothing_allows_nothing() -> None:
    budget = Budget(0)
    for _ in range(100):
        budget.earn(1.0)
    assert spent(budget, 1.0) == 0


def test_what_is_not_used_in_time_is_lost() -> None:
    budget = Budget(0.2)
    for _ in range(1000):
        budget.earn(1.0)
    assert spent(budget, 1.0 + EXPIRES) == RESERVE


def test_new_requests_fill_the_reserve_up_again() -> None:
    budget = Budget(0.2)
    assert spent(budget, 0) == RESERVE
    for _ in range(100):
        budget.earn(1.0)
    assert spent(budget, 1.0 + EXPIRES) == RESERVE


@given(st.sampled_from([0.0, 0.05, 0.2, 0.333, 1.0]), STEPS)
def test_at_no_time_more_than_the_share_and_the_reserve(share: float, steps: list[tuple[str, int]]) -> None:
    budget, now, requests, retries = Budget(share), 50.0, 0, 0
    for what, many in steps:
        for _ in range(many):
            if what == "earn":
                budget.earn(now)
                requests += 1
            elif what == "spend":
                retries += budget.spend(now)
            else:
                now += 0.3
            assert retries <= round(share * 1000) * requests / 1000 + RESERVE
            assert budget.retries >= 0
