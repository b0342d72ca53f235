"""Events: one call of an API name each, and how it stands, for whoever tells its client.

Every output is the whole of what there is by now, so that the newest one stands for those before it: whoever tells of
an event looks at it when it can, and nothing piles up for a client that is slow. Each is made once, when it is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias

from openai_proxy.auth import Caller
from openai_proxy.dialects.gradio.outputs import Output, Room
from openai_proxy.errors import TABLE, Fault, describe
from openai_proxy.jobs.job import Failure

Phase: TypeAlias = Literal["waiting", "running", "succeeded", "failed"]
UNTAKEN = Fault(
    status=503, type="", code="overloaded", message="Too much waited to be read: the output is in the job of the event."
)
STATUSES: Mapping[str, int] = {row.code: row.status for row in reversed(TABLE.values())}

log = logging.getLogger("openai_proxy.gradio")


class JobFailed(Exception):
    """A job of the event failed, or was canceled by somebody."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Event:
    """`given` are its arguments by name, or what the dict holds that is its only one.

    It `streams` where outputs before the last one are wanted. `position` is its place in the model's queue, counted
    from 1, and `eta` seconds until its turn, if known. `values` are the output of an API name that gives several,
    `session` is what the client calls its own, if it does. Its times are those of `time.monotonic`.
    """

    phase: Phase = "waiting"
    streams = False
    position = 0
    eta: float | None = None
    ended: float | None = None
    values: tuple[str | None, ...] | None = None
    session = ""
    task: asyncio.Task[None] | None = None
    _fault: Fault | None = None
    _make: Callable[[], str] | None = None
    _output: Output | None = None

    def __init__(self, name: str, given: dict[str, Any], caller: Caller, address: str, room: Room) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.given = given
        self.caller = caller
        self.address = address
        self.room = room
        self.began = time.monotonic()
        self.outputs = 0
        self._watchers: set[asyncio.Event] = set()

    @property
    def over(self) -> bool:
        """Whether it will never change again."""
        return self.ended is not None

    @property
    def seconds(self) -> float:
        """How long it took so far."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began

    # For whoever works on it

    def begin(self, work: Callable[[Event], Awaitable[str]]) -> None:
        """Work on it in a task of its own."""
        self.task = asyncio.create_task(self.run(work), name=f"gradio event {self.id}")
        self.task.add_done_callback(self._left)

    def _left(self, _: asyncio.Task[None]) -> None:
        """A canceled task has its frames, and so this event: without it they are gone at once, whatever they have."""
        self.task = None

    async def run(self, work: Callable[[Event], Awaitable[str]]) -> None:
        """Work on it; its last output is what `work` returns. What goes wrong is told, not raised."""
        try:
            last = await work(self)
        except asyncio.CancelledError:
            self.fail(Fault(status=499, type="", code="canceled", message="The event was canceled."))
            raise
        except JobFailed as error:
            why = error.failure
            self.fail(Fault(status=STATUSES.get(why.code, 500), type="", code=why.code, message=why.message))
        except Exception as error:
            fault = describe(error, self.id)
            if fault.code == "internal_error":
                log.exception("event %s failed", self.id)
            self.fail(fault)
        else:
            self.outputs += 1
            self._output = self.room.hold(self.caller.name, last)
            self._end("succeeded")

    def waits(self, position: int, eta: float | None) -> None:
        """It waits at this place."""
        if (self.position, self.phase) != (position, "waiting"):
            self.position, self.phase, self.eta = position, "waiting", eta
            self._stir()

    def starts(self) -> None:
        """It is being worked on."""
        if self.phase == "waiting":
            self.phase = "running"
            self._stir()

    def says(self, output: Callable[[], str]) -> None:
        """What it amounts to by now; the text is made only when somebody wants it."""
        self._make, self._output = output, None
        self.outputs += 1
        self.phase = "running"
        self._stir()

    def fail(self, fault: Fault) -> None:
        """It ends without a result."""
        self._fault = fault
        self._output = None
        self._end("failed")

    def _end(self, phase: Phase) -> None:
        self.phase = phase
        self.ended = time.monotonic()
        self.given = {}
        self._make = None
        self._stir()

    # For whoever tells of it

    @property
    def output(self) -> Output | None:
        """The newest one; None before the first."""
        if self._make is not None and (self._output is None or self._output.dropped):
            self._output = self.room.hold(self.caller.name, self._make())
        return self._output

    @property
    def fault(self) -> Fault | None:
        """Why there is no last output."""
        untaken = self.over and self._output is not None and self._output.dropped
        return UNTAKEN if untaken else self._fault

    def cancel(self) -> None:
        """Stop it, and its job with it."""
        if self.task is not None and not self.over:
            self.task.cancel()

    def watch(self, watcher: asyncio.Event) -> None:
        """Have this set whenever something changes."""
        self._watchers.add(watcher)

    def leave(self, watcher: asyncio.Event) -> None:
        """Not any more."""
        self._watchers.discard(watcher)

    def _stir(self) -> None:
        for watcher in self._watchers:
            watcher.set()
