"""The circuit breaker of an upstream."""

from __future__ import annotations

from backends.remote.circuit import Circuit


def opened(now: float = 100.0) -> Circuit:
    circuit = Circuit(5, 10.0)
    for _ in range(4):
        assert not circuit.failed(now, now)
        assert not circuit.stops(now)
    assert circuit.failed(now, now)
    return circuit


def test_five_failures_in_a_row_open_it_for_ten_seconds() -> None:
    circuit = opened()
    assert circuit.stops(100)
    assert circuit.stops(109.9)
    assert not circuit.stops(110)


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit(5, 10.0)
    for now in range(20):
        assert not circuit.failed(now, now)
        assert not circuit.succeeded(now, now)


def test_then_one_request_may_try() -> None:
    circuit = opened()
    circuit.take()
    assert circuit.stops(111)
    assert circuit.succeeded(110, 112)
    assert not circuit.stops(112)
    assert not circuit.failed(113, 113)  # counts from nothing again


def test_if_that_one_fails_the_pause_begins_again() -> None:
    circuit = opened()
    circuit.take()
    assert circuit.failed(110, 112)
    assert circuit.stops(121.9)
    assert not circuit.stops(122)


def test_if_that_one_is_abandoned_another_one_may_try() -> None:
    circuit = opened()
    circuit.take()
    circuit.abandoned(99)  # sent before it opened: not the one that tries
    assert circuit.stops(111)
    circuit.abandoned(110)
    assert not circuit.stops(111)


def test_what_was_sent_before_a_change_has_no_say() -> None:
    circuit = opened(100)
    assert not circuit.failed(99, 105)
    assert not circuit.stops(110)
    assert not circuit.succeeded(99, 101)
    assert circuit.stops(109)
    circuit.close(112)
    for _ in range(9):
        assert not circuit.failed(111, 113)
