"""The circuit breaker, with a clock that the test turns."""

from __future__ import annotations

import pytest

from backends.errors import Unavailable
from openai_proxy import circuit as module
from openai_proxy.circuit import FAILURES, PAUSE, Circuit


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def is_open(circuit: Circuit) -> bool:
    try:
        circuit.check()
    except Unavailable:
        return True
    return False


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES):
        assert not is_open(circuit)
        circuit.failed()
    return circuit


def test_failures_in_a_row_open_it_for_a_while(clock: Clock) -> None:
    circuit = opened()
    with pytest.raises(Unavailable) as caught:
        circuit.check()
    assert caught.value.retry_after == PAUSE
    clock.now += PAUSE - 0.1
    assert is_open(circuit)


def test_a_success_between_failures_keeps_it_closed(clock: Clock) -> None:
    circuit = Circuit()
    for _ in range(3 * FAILURES):
        assert not is_open(circuit)
        circuit.failed()
        circuit.succeeded()


@pytest.mark.parametrize("ending", ["succeeded", "failed", "abandoned"])
def test_then_there_is_one_probe(clock: Clock, ending: str) -> None:
    circuit = opened()
    clock.now += PAUSE
    assert not is_open(circuit)
    assert is_open(circuit)
    getattr(circuit, ending)()
    assert is_open(circuit) is (ending == "failed")


def test_a_failed_probe_costs_another_pause(clock: Clock) -> None:
    circuit = opened()
    clock.now += PAUSE
    circuit.check()
    circuit.failed()
    clock.now += PAUSE - 0.1
    assert is_open(circuit)
    clock.now += 0.1
    assert not is_open(circuit)
