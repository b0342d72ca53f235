"""The circuit breaker, with a clock that the test turns."""

from __future__ import annotations

import pytest

from backends import State
from backends.echo import Echo
from backends.errors import Unavailable
from openai_proxy import circuit as module
from openai_proxy.circuit import FAILURES, PAUSE, Circuit
from tests.dialects.openai.local import CHAT, Local, chat


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


def test_an_engine_that_restarts_says_so_whatever_failed_before() -> None:
    with Local() as local:
        served = local.app.edge.router.models["echo"]
        assert local.post(CHAT, chat()).status == 200
        for _ in range(FAILURES):
            served.circuit.failed()
        assert "given a pause" in local.post(CHAT, chat()).error["message"]
        engine = served.backend
        assert isinstance(engine, Echo)
        engine._become(State("restarting", "it ended"))
        restarting = local.post(CHAT, chat())
        restarting.refusal(503, "engine_unavailable", None)
        assert "pause" not in restarting.error["message"]
        engine._become(State("ready"))
        assert local.post(CHAT, chat()).status == 200
