"""One request's turn in an engine: its slot, its deadlines and how it ended, settled in one place."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from backends.errors import BackendError, EngineFailed, EngineTimeout, Unavailable
from backends.events import Usage
from openai_proxy.errors import EdgeError
from openai_proxy.served import Served
from openai_proxy.watch import Watch


class Turn:
    """Entered with a slot in hand. On the way out it gives the slot back and tells the circuit and the counters.

    A cancellation that came from the watch leaves as EngineTimeout.
    """

    def __init__(self, served: Served, slot: float, watch: Watch) -> None:
        self.served = served
        self.slot = slot
        self.watch = watch
        self.pieces = 0

    def __enter__(self) -> Turn:
        self.watch.wait()
        return self

    def used(self, usage: Usage) -> None:
        """The engine's own count, which replaces that of the pieces."""
        self.served.counted.used(usage)
        self.pieces = 0

    def answered(self) -> None:
        """The first event is there."""
        self.served.counted.first_event_seconds.observe(time.monotonic() - self.slot)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.watch.close()
        self.served.admission.release(self.slot)
        timer = self.watch.absorb() if kind is asyncio.CancelledError else None
        if timer is not None:
            self.served.counted.timed_out(timer)
            error = EngineTimeout()
        if timer == "request":
            self.served.circuit.abandoned()  # a long answer says nothing against the engine
        else:
            self._tell_circuit(error)
        if self.pieces and error is not None:
            self.served.counted.used(Usage(completion=self.pieces))  # an answer cut short still took its tokens
        self.served.counted.ended(outcome(error))
        if timer is not None and error is not None:
            raise error from None

    def _tell_circuit(self, error: BaseException | None) -> None:
        if error is None:
            self.served.circuit.succeeded()
        elif isinstance(error, EngineFailed | EngineTimeout | Unavailable):
            self.served.circuit.failed()
        else:
            self.served.circuit.abandoned()


def outcome(error: BaseException | None) -> str:
    """The label of how a request ended: ok, canceled, or the name of our own error class."""
    if error is None:
        return "ok"
    return type(error).__name__ if isinstance(error, BackendError | EdgeError) else "canceled"
