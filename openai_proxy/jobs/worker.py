"""Has engines answer jobs: takes as many as the models have room for, keeps their leases, writes what comes.

One a process. A process that dies leaves leases that end by themselves; then others, or its successor, go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from backends.requests import Request
from openai_proxy.config import Config
from openai_proxy.errors import EdgeError, StoreFailed
from openai_proxy.jobs.encoding import decode_request
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import Failure, State
from openai_proxy.jobs.store import Bounds, Record, Step, Store
from openai_proxy.jobs.told import Told
from openai_proxy.jobs.work import Work
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.router import Router

# Seconds. Orders to stop are looked for most often; what others might have left in the queue less so.
TICK, WRITE_EVERY, LOOK_EVERY, EXPIRE_EVERY, SWEEP_EVERY = 0.2, 0.5, 1.0, 5.0, 60.0
# A lease is renewed three times before it ends.
BEATS = 3
# How long a process that has no room after all, or no store, waits.
PAUSE, LONGEST_PAUSE = 1.0, 10.0

log = logging.getLogger("openai_proxy.jobs")


class Worker:
    """`works` are the jobs in hand, by their ids. `lease` is this process's name in the store."""

    def __init__(
        self,
        store: Store,
        files: Files,
        router: Router,
        lifecycle: Lifecycle,
        metrics: Metrics,
        config: Callable[[], Config],
    ) -> None:
        self.store = store
        self.files = files
        self.router = router
        self.lifecycle = lifecycle
        self.metrics = metrics
        self.config = config
        self.told = Told(metrics)
        self.lease = uuid.uuid4().hex
        self.works: dict[str, Work] = {}
        self.over: Callable[[Work], None] = lambda _: None
        self._of_models: Counter[str] = Counter()
        self._waiting_models: set[str] = set()
        self._stirred = asyncio.Event()
        self._due: dict[str, float] = {}
        self._paused_until = 0.0
        self._loop: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # What may be begun

    def room(self, model: str) -> int:
        """How many more jobs of a model may be begun here."""
        served = self.router.models.get(model)
        if served is None or self.lifecycle.phase != "serving" or time.monotonic() < self._paused_until:
            return 0
        slots = served.admission.slots
        most = served.config.job_slots or max(1, slots - 1)
        return max(0, min(most, slots) - self._of_models[model])

    def may_begin(self, model: str) -> bool:
        """Whether a new job need not wait: there is room, and none came before it."""
        return model not in self._waiting_models and self.room(model) > 0

    def waiting(self, model: str) -> int:
        """How many jobs in hand have no slot of that model yet."""
        return sum(work.record.model == model and work.record.started is None for work in self.works.values())

    def waits(self, model: str) -> None:
        """There is a job of that model in the queue."""
        self._waiting_models.add(model)
        self._stirred.set()

    # Jobs in hand

    def begin(self, record: Record, request: Request) -> Work:
        """Have the model answer; the record is leased here, or is about to be."""
        work = Work(record, request)
        self.works[record.id] = work
        self._of_models[record.model] += 1
        self.lifecycle.enter(Held(work))
        return work

    def start(self, work: Work, kept: asyncio.Future[bool] | None = None) -> None:
        """Begin to work. `kept` tells whether the job was stored at all, where that is not yet sure."""
        task = asyncio.create_task(self._work(work, kept), name=f"job {work.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, work: Work, kept: asyncio.Future[bool] | None) -> None:
        try:
            state = await work.run(self.router, self.files, self.config().timeouts.request)
            if kept is None or await kept:
                await self._settle(work, state)
        finally:
            self._leave(work)

    async def _settle(self, work: Work, state: State | None) -> None:
        """Write the end of a job, however long the store may take, or give it back."""
        work.record.finished = time.time()
        pause = PAUSE
        step = None if state is None else work.step(state)
        while True:
            try:
                if step is None or state is None:
                    await self.store.release(self.lease, [work.id])
                    self._paused_until = time.monotonic() + PAUSE
                    self.waits(work.record.model)
                    return
                taken = await self.store.write(self.lease, [step])
            except StoreFailed as error:
                log.warning("the end of job %s cannot be written yet: %s", work.id, error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if work.id in taken:
                work.record.progress = step.progress
                self.told.ended(work.record, state)
                work.ended(state)
                self.over(work)
            return

    def _leave(self, work: Work) -> None:
        del self.works[work.id]
        self._of_models[work.record.model] -= 1
        self.lifecycle.leave(Held(work))
        if not work.over:
            work.ended(work.record.state)
        self._stirred.set()

    # The life of a process's leases

    def open(self) -> None:
        """Begin to look after jobs."""
        self._loop = asyncio.create_task(self._look_after(), name="jobs")

    async def close(self) -> None:
        """Give back what is not done."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        for work in tuple(self.works.values()):
            work.stop("given_back")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LONGEST_PAUSE)

    async def _look_after(self) -> None:
        while True:
            try:
                await self._once()
            except StoreFailed as error:
                log.warning("jobs: %s", error.message)
                await asyncio.sleep(PAUSE)
            try:
                async with asyncio.timeout(TICK if self.works else LOOK_EVERY):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _once(self) -> None:
        jobs = self.config().jobs
        if self.works:
            if self._is_due("beat", jobs.lease / BEATS):
                await self.store.beat(self.lease, jobs.lease)
            await self._heed()
            if self._is_due("write", WRITE_EVERY):
                await self._write()
        if self._is_due("expire", EXPIRE_EVERY):
            lost = await self.store.expire(self.lease, jobs.attempts, jobs.queue_time)
            self.metrics.job_attempts_lost.inc(lost)
            self.told.tell(await self.store.counts())
        if self._is_due("sweep", SWEEP_EVERY):
            names = await self.store.sweep(Bounds(jobs.keep, jobs.keep_count, jobs.keep_bytes))
            await self.files.delete(names)
        if self._stirred.is_set() or self._is_due("look", LOOK_EVERY):
            self._stirred.clear()
            await self._claim()

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    async def _heed(self) -> None:
        """Stop what shall stop, and what is not ours any more."""
        mine = [work for work in self.works.values() if work.known]
        if not mine:
            return
        held = await self.store.held(self.lease)
        for work in mine:
            attempt, canceling = held.get(work.id, (0, False))
            if canceling:
                work.stop("canceled")
            elif attempt != work.record.attempt and not work.over:
                work.stop("given_back")

    async def _write(self) -> None:
        changed = [work for work in self.works.values() if work.known and work.changed and work.stopped is None]
        if changed:
            await self.store.write(self.lease, [work.step() for work in changed])

    async def _claim(self) -> None:
        wanted = {name: room for name in self.router.models if (room := self.room(name))}
        if not wanted:
            return
        records = await self.store.claim(self.lease, self.config().jobs.lease, wanted)
        got = Counter(record.model for record in records)
        self._waiting_models -= {name for name, room in wanted.items() if got[name] < room}
        for record in records:
            await self._take_up(record)

    async def _take_up(self, record: Record) -> None:
        try:
            request = decode_request(record.kind, record.request)
        except ValueError:
            why = Failure("unreadable", "This version of the server cannot read the job's request.")
            now = time.time()
            failed = Step(id=record.id, attempt=record.attempt, state="failed", finished=now, failure=why)
            await self.store.write(self.lease, [failed])
            return
        record.request = b""
        work = self.begin(record, request)
        work.known = True
        self.start(work)


class Held(Struct, frozen=True):
    """A job as something that runs, for a server that drains."""

    work: Work

    def stop(self, _: EdgeError) -> None:
        """Another process, or the next one, goes on with it."""
        self.work.stop("given_back")
