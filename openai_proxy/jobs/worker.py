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
from functools import partial

from msgspec import Struct

from backends.requests import Request
from openai_proxy.config import Config, JobSettings
from openai_proxy.errors import EdgeError, StoreFailed
from openai_proxy.jobs.encoding import decode_request
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import Failure, State
from openai_proxy.jobs.orphans import Orphans
from openai_proxy.jobs.store import Bounds, Record, Step, Store
from openai_proxy.jobs.told import Told
from openai_proxy.jobs.trouble import Clock, Trouble
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
        self.orphans = Orphans(store, files)
        self.lease = uuid.uuid4().hex
        self.works: dict[str, Work] = {}
        self.over: Callable[[Work], None] = lambda _: None
        self._of_models: Counter[str] = Counter()
        self._waiting_models: set[str] = set()
        self._stirred = asyncio.Event()
        self._due: dict[str, float] = {}
        self._paused_until = 0.0
        self._loop: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._unwanted: list[str] = []
        self._closing = False
        self.trouble = Trouble()
        self.clock = Clock()
        self._tasks: set[asyncio.Task[None]] = set()

    # What may be begun

    def room(self, model: str) -> int:
        """How many more jobs of a model may be begun here."""
        served = self.router.models.get(model)
        if served is None or self.lifecycle.phase != "serving" or time.monotonic() < self._paused_until:
            return 0
        if served.circuit.open:
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

    def start(self, work: Work, adding: asyncio.Task[Record] | None = None) -> None:
        """Begin to work. `adding` stores the job, where it is not stored yet."""
        if adding is None:
            work.known = True
        else:
            adding.add_done_callback(partial(self._added, work))
        task = asyncio.create_task(self._work(work, adding), name=f"job {work.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _added(self, work: Work, adding: asyncio.Task[Record]) -> None:
        """Whether a job is in hand is known when it is stored: it may have to wait for others after all."""
        kept = None if adding.cancelled() or adding.exception() is not None else adding.result()
        work.known = kept is not None and kept.lease is not None
        if not work.known:
            work.stop("given_back")
            self._drop(work)
        if kept is not None and kept.lease is None:
            self.waits(work.record.model)

    async def _work(self, work: Work, adding: asyncio.Task[Record] | None) -> None:
        try:
            state = await work.run(self.router, self.files, self.config().timeouts.request)
            # The clock may have been set back meanwhile.
            work.record.finished = max(time.time(), work.record.started or 0.0)
            if adding is not None:
                if state is not None and await self._ended_at_once(work, state):
                    return
                await asyncio.wait([adding])
                self._added(work, adding)
            if work.known:
                await self._settle(work, state)
        finally:
            self._leave(work)

    async def _ended_at_once(self, work: Work, state: State) -> bool:
        """Write the end of a job that may not be stored yet, so that it goes with that, or follows it at once."""
        try:
            return await self._end(work, state)
        except (StoreFailed, ValueError):
            return False

    async def _settle(self, work: Work, state: State | None) -> None:
        """Write the end of a job, however long the store may take, or give it back."""
        pause = PAUSE
        while True:
            try:
                if state is None:
                    await self._give_back(work)
                elif not await self._end(work, state) and state == "succeeded" and await self._shall_stop(work):
                    await self._end(work, "canceled")
                return
            except StoreFailed as error:
                self.trouble.tell(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except ValueError as error:  # this will never be written: better half of it
                work.forget()
                work.fail(error)
                state = "failed"

    async def _give_back(self, work: Work) -> None:
        self.told.unworked(await self.store.release(self.lease, {work.id: work.record.attempt}))
        self._paused_until = time.monotonic() + PAUSE
        self.waits(work.record.model)

    async def _end(self, work: Work, state: State) -> bool:
        """Whether the store took it."""
        step = work.step(state)
        if work.id not in await self.store.write(self.lease, [step]):
            return False
        work.wrote(step)
        work.record.progress = step.progress
        self.told.ended(work.record, state)
        work.ended(state)
        self.over(work)
        return True

    async def _shall_stop(self, work: Work) -> bool:
        held = await self.store.held(self.lease)
        return held.get(work.id) == (work.record.attempt, True)

    def _drop(self, work: Work) -> None:
        if self.works.get(work.id) is work:
            del self.works[work.id]

    def _leave(self, work: Work) -> None:
        self._drop(work)
        self._of_models[work.record.model] -= 1
        self.lifecycle.leave(Held(work))
        if not work.over:
            work.ended(work.record.state)
        if work.record.model in self._waiting_models:
            self._stirred.set()

    # The life of a process's leases

    def open(self) -> None:
        """Begin to look after jobs."""
        self._stirred.set()
        self._loop = asyncio.create_task(self._look_after(), name="jobs")

    async def close(self) -> None:
        """Give back what is not done."""
        self._closing = True
        self._stirred.set()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._loop is not None:
            await asyncio.wait([self._loop], timeout=LONGEST_PAUSE)
            self._loop.cancel()
        for work in tuple(self.works.values()):
            work.stop("given_back")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LONGEST_PAUSE)

    async def _look_after(self) -> None:
        while not self._closing:
            try:
                await self._once()
                self.trouble.over()
            except Exception as error:  # noqa: BLE001 - what happens, jobs are looked after
                self.trouble.tell(error)
                # All who share the store have to renew their leases first: they could not either.
                lease = self.config().jobs.lease
                self._due |= {"beat": 0.0, "expire": time.monotonic() + lease / BEATS}
                await asyncio.sleep(PAUSE)
            try:
                async with asyncio.timeout(TICK if self.works else LOOK_EVERY):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    async def _once(self) -> None:
        jobs = self.config().jobs
        # Also without works: that tells whether anything can be written.
        if self._is_due("beat", jobs.lease / BEATS):
            await self.store.beat(self.lease, jobs.lease)
        if (self.works and self._is_due("heed", TICK / 2)) or self._is_due("stray", EXPIRE_EVERY):
            await self._heed()
        if self.works and self._is_due("write", WRITE_EVERY):
            await self._write()
        if self._is_due("expire", min(EXPIRE_EVERY, jobs.lease / BEATS)):
            await self._expire(jobs)
        if self._is_due("sweep", SWEEP_EVERY) and (self._sweeping is None or self._sweeping.done()):
            self._sweeping = asyncio.create_task(self._sweep(), name="sweep jobs")
        if self._stirred.is_set() or self._is_due("look", LOOK_EVERY):
            self._stirred.clear()
            await self._claim()

    async def _sweep(self) -> None:
        """Beside all else: where files lie it may take long to delete them."""
        jobs = self.config().jobs
        bounds = Bounds(jobs.keep + self.clock.ahead(), jobs.keep_count, jobs.keep_bytes)
        try:
            self._unwanted += await self.store.sweep(bounds)
            while self._unwanted:
                await self.files.delete(self._unwanted[-1:])
                self._unwanted.pop()
            in_hand = {file.name for work in self.works.values() for file in work.files}
            await self.orphans.sweep(jobs.lease + self.clock.ahead(), in_hand)
        except StoreFailed as error:
            log.warning("jobs: what ended long ago cannot be forgotten yet: %s", error)

    async def _expire(self, jobs: JobSettings) -> None:
        longest = None if jobs.queue_time is None else jobs.queue_time + self.clock.ahead()
        found = await self.store.expire(self.lease, jobs.lease, jobs.attempts, longest)
        self.metrics.job_attempts_lost.inc(found.lost)
        self.told.unworked(found.ended)
        if found.lost:
            self._stirred.set()
        if self._is_due("tell", EXPIRE_EVERY):
            self.told.tell(await self.store.counts())

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    async def _heed(self) -> None:
        """Stop what shall stop, and what is not ours any more; give back what we have without knowing of it, as the
        answer to a claim was lost.
        """
        mine = [work for work in self.works.values() if work.known]
        held = await self.store.held(self.lease)
        for work in mine:
            attempt, canceling = held.get(work.id, (0, False))
            if canceling:
                work.stop("canceled")
            elif attempt != work.record.attempt and not work.over:
                work.stop("given_back")
        stray = {id: attempt for id, (attempt, _) in held.items() if id not in self.works}
        if stray:
            self.told.unworked(await self.store.release(self.lease, stray))
            self._stirred.set()

    async def _write(self) -> None:
        changed = [work for work in self.works.values() if work.known and work.changed and work.stopped is None]
        if not changed:
            return
        steps = {work: work.step() for work in changed}
        try:
            await self.store.write(self.lease, list(steps.values()))
        except StoreFailed:
            for work in changed:
                work.changed = True
            raise
        for work, step in steps.items():
            work.wrote(step)

    async def _claim(self) -> None:
        wanted = {name: room for name in self.router.models if (room := self.room(name))}
        if not wanted:
            return
        records = await self.store.claim(self.lease, self.config().jobs.lease, wanted)
        got = Counter(record.model for record in records)
        self._waiting_models -= wanted.keys()
        self._waiting_models |= {name for name, room in wanted.items() if got[name] >= room}
        for record in records:
            await self._take_up(record)

    async def _take_up(self, record: Record) -> None:
        try:
            request = decode_request(record.kind, record.request)
        except ValueError:
            why = Failure("unreadable", "This version of the server cannot read the job's request.")
            now = time.time()
            failed = Step(id=record.id, attempt=record.attempt, state="failed", finished=now, failure=why)
            if await self.store.write(self.lease, [failed]):
                self.told.ended(record, "failed")
            return
        record.request = b""
        self.start(self.begin(record, request))


class Held(Struct, frozen=True):
    """A job as something that runs, for a server that drains."""

    work: Work

    def stop(self, _: EdgeError) -> None:
        """Another process, or the next one, goes on with it."""
        self.work.stop("given_back")
