"""One job that this process works on: its events as they come, and how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, TypeAlias

from backends.errors import BackendError
from backends.events import Delta, Progress
from backends.requests import ChatRequest, CompletionRequest, Request
from openai_proxy.circuit import Paused
from openai_proxy.errors import Draining, EdgeError, QueueFull, QueueTimeout, describe
from openai_proxy.jobs.encoding import encode_events
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import Failure, File, JobEvent, State
from openai_proxy.jobs.recording import recorded
from openai_proxy.jobs.store import Record, Step
from openai_proxy.router import Patience, Router

# Why a job is stopped: its client does not want it any more, or another process shall go on with it.
Stop: TypeAlias = Literal["canceled", "given_back"]

# Before it is over a job shows no more of its work than this.
NEARLY = 0.99
# What says that the model has no room after all, or that its engine is given a pause.
NO_ROOM = (QueueFull, QueueTimeout, Draining, Paused)

log = logging.getLogger("openai_proxy.jobs")


class Work:
    """`record` is how the job stands, as far as its events tell. It is `known` when it is stored, and `over` when its
    end is, or when it is not this process's any more. `pieces` are the events that are `written`, encoded.
    """

    def __init__(self, record: Record, request: Request) -> None:
        self.record = record
        self.request = request
        self.events: list[JobEvent] = []
        self.written = 0
        self.pieces: list[tuple[int, bytes]] = []
        self.changed = False
        self.known = False
        self.over = False
        self.stopped: Stop | None = None
        self._task: asyncio.Task[object] | None = None
        self._watchers: set[asyncio.Event] = set()
        self._most = most_tokens(request)

    @property
    def id(self) -> str:
        return self.record.id

    async def run(self, router: Router, files: Files, patience: float) -> State | None:
        """Have the model answer; how that ended, None where another process, or a later time, shall try again."""
        self._task = asyncio.current_task()
        record = self.record
        try:
            if self.stopped is None:
                answer = router.run(self.request, patience=Patience(patience, self._begun))
                async with aclosing(recorded(answer, files, record.format, record.speed)) as events:
                    async for event in events:
                        self._take(event)
                if self.stopped is None:
                    return "succeeded"
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]
        except NO_ROOM:
            return None
        except Exception as error:  # noqa: BLE001 - told to whoever asks for the job; logged where it is a fault of ours
            if self.stopped is None:
                self.fail(error)
                return "failed"
        finally:
            self._task = None
        return "canceled" if self.stopped == "canceled" else None

    @property
    def files(self) -> tuple[File, ...]:
        """Those that it made."""
        return tuple(event for event in self.events if type(event) is File)

    def stop(self, why: Stop) -> None:
        """End the work early; what it made so far stays."""
        if self.stopped is None and not self.over:
            self.stopped = why
            if self._task is not None:
                self._task.cancel()

    def _begun(self) -> None:
        self.record.started = time.time()
        self.record.state = "running"
        self._stir()

    def _take(self, event: JobEvent) -> None:
        if self.record.first is None and type(event) is not Progress:
            self.record.first = time.time()
        self.events.append(event)
        self.record.events = len(self.events)
        if type(event) is Progress:
            self._progress(event.fraction, event.note)
        elif type(event) is Delta and self._most:
            self._progress(len(self.events) / self._most)
        self._stir()

    def _progress(self, fraction: float, note: str = "") -> None:
        self.record.progress = max(self.record.progress, min(fraction, NEARLY))
        self.record.note = note or self.record.note

    def fail(self, error: Exception) -> None:
        """Why it fails."""
        if not isinstance(error, EdgeError | BackendError):
            log.error("job %s failed", self.id, exc_info=error)
        fault = describe(error, self.id)
        self.record.failure = Failure(fault.code, fault.message, fault.param)

    def ended(self, state: State) -> None:
        """Its end is stored, or it is not ours any more."""
        self.record.state = state
        self.over = True
        self._stir()

    def step(self, state: State | None = None) -> Step:
        """What there is to write: how it stands and the events that were not `wrote`. With a final `state` the last.

        Raises ValueError where events cannot be encoded.
        """
        record = self.record
        fresh = self.events[self.written :]
        step = Step(
            id=record.id,
            attempt=record.attempt,
            state=state or record.state,
            started=record.started,
            first=record.first,
            finished=None if state is None else record.finished,
            progress=1.0 if state == "succeeded" else record.progress,
            note=record.note,
            begin=self.written,
            count=len(fresh),
            pieces=encode_events(fresh, self.written),
            files=tuple(event for event in fresh if type(event) is File),
            failure=record.failure,
        )
        self.changed = False
        return step

    def wrote(self, step: Step) -> None:
        """It was stored, in place of what was stored from the same event on; one after the other, as they were made."""
        if step.begin + step.count > self.written:
            while self.pieces and self.pieces[-1][0] >= step.begin:
                self.pieces.pop()
            self.pieces.extend(step.pieces)
            self.written = step.begin + step.count

    def forget(self) -> None:
        """Do without the events that were not stored."""
        del self.events[self.written :]
        self.record.events = self.written

    async def follow(self, after: int) -> AsyncGenerator[tuple[int, JobEvent], None]:
        """Events from the one after number `after` on, each with its number, until the job is over."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            while True:
                watcher.clear()
                while after < len(self.events):
                    after += 1
                    yield after, self.events[after - 1]
                if self.over:
                    return
                await watcher.wait()
        finally:
            self._watchers.discard(watcher)

    async def until_over(self) -> None:
        """Wait for the end."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        try:
            while not self.over:
                watcher.clear()
                await watcher.wait()
        finally:
            self._watchers.discard(watcher)

    def _stir(self) -> None:
        self.changed = True
        for watcher in self._watchers:
            watcher.set()


def most_tokens(request: Request) -> int | None:
    """How many tokens the answer may have, where that is known."""
    return request.sampling.max_tokens if isinstance(request, ChatRequest | CompletionRequest) else None
