"""What a pool keeps of the one that it replaces."""

from __future__ import annotations

from typing import Any

import pytest

from backends.remote.pool import Pool
from tests.backends.remote.turning import Clock, options

A = {"url": "http://a:8000", "name": "a"}
B = {"url": "http://b:8000", "name": "b"}


async def probe(upstream: object) -> Any:
    raise AssertionError("nobody starts these pools")


def replaced(former: Pool, clock: Clock, *upstreams: dict[str, Any], **table: Any) -> tuple[Pool, list[str]]:
    """The pool after a reload, and who is asked as before."""
    new = Pool(options(*upstreams, **table), probe, clock)
    return new, [upstream.name for upstream, _ in new.take_after(former)]


def words(pool: Pool) -> dict[str, str]:
    return {each.name: each.state for each in pool.state.upstreams}


def fail(pool: Pool, times: int) -> None:
    for _ in range(times):
        with pool.lease() as lease:
            lease.failed("error")


def test_circuits_and_counts_go_on_where_they_were() -> None:
    clock = Clock()
    former = Pool(options(A), probe, clock)
    fail(former, 4)
    running = former.lease()
    new, alike = replaced(former, clock, {**A, "weight": 2, "name": "other", "slots": 5}, B)
    assert alike == ["other"]
    assert new.upstreams[0].counts["error"] == 4
    running.failed("error")
    running.close()
    assert new.upstreams[0].circuit.open
    assert new.upstreams[0].counts["error"] == 5
    assert [new.lease().upstream.name for _ in range(3)] == ["b"] * 3
    clock.now += 10.1
    assert {new.lease().upstream.name for _ in range(3)} == {"other", "b"}


def test_a_circuit_takes_its_new_settings() -> None:
    clock = Clock()
    former = Pool(options(A), probe, clock)
    fail(former, 4)
    new, _ = replaced(former, clock, A, circuit_failures=10, circuit_pause=60)
    fail(new, 5)
    assert not new.upstreams[0].circuit.open
    fail(new, 1)
    assert new.upstreams[0].circuit.until == clock.now + 60


def test_latencies_and_pauses_are_kept() -> None:
    clock = Clock()
    former = Pool(options(A, B), probe, clock)
    with former.lease() as lease:
        clock.now += 0.5
        lease.answered()
    former.upstreams[1].passed_over(30, clock.now)
    new, _ = replaced(former, clock, B, A)
    assert (new.upstreams[1].first_byte, new.upstreams[0].first_byte) == (0.5, None)
    assert words(new) == {"a": "unknown", "b": "busy"}
    assert new.lease().upstream.name == "a"


def test_who_is_down_stays_down_while_probes_can_find_it_again() -> None:
    clock = Clock()
    former = Pool(options(A, B), probe, clock)
    former.unreachable(former.upstreams[0], "it is off")
    assert words(replaced(former, clock, A, B)[0]) == {"a": "down", "b": "unknown"}
    assert words(replaced(former, clock, A, B, probe_every=0)[0]) == {"a": "unknown", "b": "unknown"}


@pytest.mark.parametrize(
    ("before", "ordered", "after", "drained"),
    [
        (False, "drain", False, True),
        (False, None, False, False),
        (True, "undrain", True, False),
        (True, "undrain", False, False),
        (False, "drain", True, True),
        (True, None, False, False),
    ],
)
def test_an_order_holds_until_the_settings_say_something_new(
    before: bool, ordered: str | None, after: bool, drained: bool
) -> None:
    clock = Clock()
    former = Pool(options({**A, "drained": before}, B), probe, clock)
    if ordered is not None:
        getattr(former, ordered)("a")
    new, _ = replaced(former, clock, {**A, "drained": after}, B)
    assert new.upstreams[0].drained == drained
    assert (new.lease().upstream.name == "b") == drained or not drained


@pytest.mark.parametrize("change", [{"key_env": "OTHER"}, {"model": "x"}, {"headers": {"x-team": "red"}}])
def test_what_went_wrong_in_another_way_is_forgotten(change: dict[str, Any]) -> None:
    clock = Clock()
    former = Pool(options(A), probe, clock)
    fail(former, 5)
    former.drain("a")
    new, alike = replaced(former, clock, {**A, **change})
    assert not alike
    assert words(new) == {"a": "drained"}
    assert new.upstreams[0].counts["error"] == 5
    assert not new.upstreams[0].circuit.open


def test_the_same_address_twice_is_told_apart_by_its_name() -> None:
    clock = Clock()
    twin = {**A, "name": "twin"}
    former = Pool(options(A, twin), probe, clock)
    former.drain("twin")
    new, _ = replaced(former, clock, twin, {**A, "url": "http://a:8000/v1/"})
    assert words(new) == {"twin": "drained", "a": "unknown"}


def test_another_address_is_another_server() -> None:
    clock = Clock()
    former = Pool(options(A), probe, clock)
    former.drain("a")
    assert words(replaced(former, clock, {**A, "url": "http://a:8001"})[0]) == {"a": "unknown"}
