"""The one door to jobs: hand in, look at, follow, wait for, cancel, list.

`owner` is who asks: the jobs of others are not there for them. None is the operator, who sees all.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence

from msgspec.structs import replace

from openai_proxy.config import Config
from openai_proxy.errors import JobNotFound, KeyReused, StoreFailed, WrongState
from openai_proxy.jobs.encoding import decode_events, encode_request, kind_of, pieces_from
from openai_proxy.jobs.ended import Ended
from openai_proxy.jobs.errands import Errands
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import DRAWN, FINAL, Job, JobEvent, Order
from openai_proxy.jobs.queues import Queues
from openai_proxy.jobs.reading import Reading
from openai_proxy.jobs.store import Filter, Record, Store
from openai_proxy.jobs.work import Work
from openai_proxy.jobs.worker import Worker

# How often jobs of other processes are looked at, and how long one that is canceled is waited for, in seconds.
LOOK_EVERY, LET_GO = 0.25, 1.0
# How long a file may be there, in another process, before its job is stored with it, in seconds.
UNTOLD = 1.5
# Pieces of its events that somebody who follows a job has in memory.
PAGE = 4
# How often it is tried to open what does not open, in seconds.
OPEN_EVERY, OPEN_SELDOM = 1.0, 10.0

log = logging.getLogger("openai_proxy.jobs")


class Jobs:
    """`config` is asked each time: it may be reloaded. Opened on the first use, so that who needs none pays nothing, or
    at the start where jobs may be `left`. `make` makes the store and `hire` its worker.
    """

    store: Store
    worker: Worker
    _reading: Reading[Record]
    _queues: Queues

    def __init__(
        self,
        make: Callable[[], Store],
        left: bool,
        files: Files,
        hire: Callable[[Store], Worker],
        config: Callable[[], Config],
    ) -> None:
        self.files = files
        self.config = config
        self.left = left
        self.errands = Errands(self.open)
        self._make = make
        self._hire = hire
        self._ended = Ended()
        self._opening: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._told = ""

    # Its life

    def resume(self) -> None:
        """Go on in the background with what an earlier process left behind."""
        if self.left:
            self._resuming = asyncio.create_task(self._resume(), name="resume jobs")

    async def _resume(self) -> None:
        """However long it takes: nobody might ask for what waits there."""
        pause = OPEN_EVERY
        while True:
            try:
                return await self.open()
            except StoreFailed:
                await asyncio.sleep(pause)
                pause = min(2 * pause, OPEN_SELDOM)

    async def open(self) -> None:
        """Open the store and begin to work; later calls wait for the first. Raises StoreFailed."""
        await asyncio.shield(self._begin_to_open())

    def _begin_to_open(self) -> asyncio.Task[None]:
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            self._opening = opening = asyncio.create_task(self._open(), name="open jobs")
            opening.add_done_callback(self._noted)
        return opening

    async def _open(self) -> None:
        store = await asyncio.to_thread(self._make)
        try:
            await store.open()
        except BaseException:
            await store.close()
            raise
        self.store, self.worker = store, self._hire(store)
        self._reading, self._queues = Reading(store), Queues(store)
        self.worker.over = self._remember
        self.worker.open()
        self.errands.open(store.shelf)

    async def close(self) -> None:
        """Give back what is not done, and close the store."""
        if self._resuming is not None:
            self._resuming.cancel()
        if self._opening is None:
            return
        await asyncio.wait([self._opening])
        if self._is_open:
            await self.errands.close()
            await self.worker.close()
            await self.store.close()

    @property
    def _is_open(self) -> bool:
        opening = self._opening
        return opening is not None and opening.done() and not opening.cancelled() and opening.exception() is None

    @property
    def well(self) -> bool:
        """Whether jobs can be kept, as far as is known."""
        return not self._told and not (self._is_open and self.worker.trouble.lasts)

    def _noted(self, opening: asyncio.Task[None]) -> None:
        """Whoever opens in the background hears of no error; nobody wants to hear the same one again and again."""
        error = None if opening.cancelled() else opening.exception()
        if error is not None and str(error) != self._told:
            log.error("jobs cannot be opened: %s", error)
        self._told = "" if error is None else str(error)

    # A job

    async def submit(self, order: Order) -> Job:
        """Keep a job for good, and begin it at once where there is room.

        Raises StoreFailed, TooManyJobs, KeyReused or ModelNotFound.
        """
        await self.open()
        model = self.worker.router.find(order.request.model).name
        record = _record(order, model)
        # A job that might be there already is not begun before that is known.
        if order.key is None and self.worker.may_begin(model):
            return await self._begin(record, order)
        jobs = self.config().jobs
        kept = await self.store.add(record, jobs.queued, jobs.lease)
        if kept.id != record.id and kept.digest != record.digest:
            raise KeyReused
        if kept.id == record.id:
            self.worker.waits(model)
        return await self._shown(kept)

    async def _begin(self, record: Record, order: Order) -> Job:
        """The engine begins while the job is being stored: its client waits for the longer of the two.

        A client that goes away meanwhile leaves its job behind.
        """
        jobs = self.config().jobs
        record.lease, record.attempt = self.worker.lease, 1
        work = self.worker.begin(replace(record, request=b""), order.request)
        adding = asyncio.create_task(self.store.add(record, jobs.queued, jobs.lease), name=f"add job {record.id}")
        self.worker.start(work, adding)
        kept = await asyncio.shield(adding)
        return await self._shown(kept if kept.lease is None else work.record)

    async def get(self, id: str, owner: str | None) -> Job:
        """How it stands. Raises JobNotFound or StoreFailed."""
        return await self._shown(await self._find(id, owner))

    async def events(self, id: str, owner: str | None) -> list[JobEvent]:
        """All events that there are by now. Raises JobNotFound or StoreFailed."""
        record = await self._find(id, owner)
        work = self.worker.works.get(id)
        if work is not None:
            return list(work.events)
        return [event for _, event in _decoded(await self._stored(record, 0), 0)]

    async def follow(self, id: str, owner: str | None, after: int = 0) -> AsyncGenerator[tuple[int, JobEvent], None]:
        """Events from the one after number `after` on (they are counted from 1), until the job has ended.

        It ends early where work on the job begins anew. Raises JobNotFound or StoreFailed.
        """
        record = await self._find(id, owner)
        work = self.worker.works.get(id)
        if work is not None:
            async for found in work.follow(after):
                yield found
            return
        run = record.attempt, record.started
        while True:
            # Of a job that this process has taken up meanwhile the record goes on changing: first its state, then what
            # was stored before it had that.
            ended = record.state in FINAL
            while page := _decoded(await self._stored(record, after, PAGE), after):
                for number, event in page:
                    after = number
                    yield number, event
            if ended:
                return
            await asyncio.sleep(LOOK_EVERY)
            record = await self._find(id, owner)
            attempt, begun = run
            if after and (record.attempt != attempt or (begun is not None and record.started != begun)):
                return
            run = record.attempt, record.started

    async def wait(self, id: str, owner: str | None, timeout: float | None = None) -> Job:
        """How it stands when it has ended, or after so many seconds. Raises JobNotFound or StoreFailed."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            record = await self._find(id, owner)
            left = LOOK_EVERY if until is None else until - time.monotonic()
            if record.state in FINAL or left <= 0:
                return await self._shown(record)
            work = self.worker.works.get(id)
            try:
                async with asyncio.timeout(None if until is None and work is not None else left):
                    await (asyncio.sleep(LOOK_EVERY) if work is None else work.until_over())
            except TimeoutError:
                continue

    async def cancel(self, id: str, owner: str | None) -> Job:
        """End it; what it made so far stays. One that has ended stays as it is. Raises JobNotFound or StoreFailed.

        Where that cannot be stored at once, or is up to another process, it may still run when this returns.
        """
        record = await self._find(id, owner)
        if record.state not in FINAL:
            work = self.worker.works.get(id)
            if work is not None:
                work.stop("canceled")
            if work is None or work.stopped == "given_back":
                self.worker.told.unworked(await self.store.cancel(id))
        return await self.wait(id, owner, LET_GO)

    async def retry(self, id: str, owner: str | None) -> Job:
        """Have a failed or canceled job done again. Raises JobNotFound, StoreFailed or WrongState."""
        record = await self._find(id, owner)
        if not await self.store.retry(id):
            raise WrongState(f"The job is {record.state}: only a failed or canceled one can be done again.")
        self.worker.waits(record.model)
        return await self.get(id, owner)

    async def page(self, filter: Filter, limit: int, *, sent: bool = True) -> list[tuple[int, Job]]:
        """Jobs, the newest first, each with its place for `Filter.before`. What their clients sent may be absent where
        it is not asked for. Raises StoreFailed.
        """
        await self.open()
        records = await self.store.page(filter, limit, sent=sent)
        return [(record.place, await self._shown(self._newest(record))) for record in records]

    async def read(self, name: str) -> bytes | None:
        """A file of a job; None where it is not there any more. Raises StoreFailed."""
        return await self.files.read(name)

    async def maker(self, name: str, owner: str | None) -> Job:
        """The job that made the file of that name, which is there. Raises JobNotFound or StoreFailed."""
        await self.open()
        until = time.monotonic() + UNTOLD
        while (id := self._maker(name) or (await self.store.makers([name])).get(name)) is None:
            if time.monotonic() > until:
                raise JobNotFound
            await asyncio.sleep(LOOK_EVERY)
        return await self.get(id, owner)

    def number(self, model: str) -> int:
        """How many jobs of a model there are, as of a few seconds ago; 0 before the store was opened."""
        return self.worker.told.numbers[model] if self._is_open else 0

    def kept_for(self, job: Job) -> float:
        """For how many seconds it is kept at the longest; while it has not ended, from its end on."""
        keep = self.config().jobs.keep
        return keep if job.finished is None else job.finished + keep + self.worker.clock.ahead() - time.time()

    # What is known of a job, and from where

    def _maker(self, name: str) -> str | None:
        """The id of a job in hand that made that file."""
        drawn = (work for work in self.worker.works.values() if work.record.kind in DRAWN)
        return next((work.id for work in drawn if any(file.name == name for file in work.files)), None)

    def _newest(self, record: Record) -> Record:
        work = self.worker.works.get(record.id)
        return record if work is None else work.record

    async def _find(self, id: str, owner: str | None) -> Record:
        if "\0" in id:  # PostgreSQL takes none, and what others ask for at the same time would not be read either
            raise JobNotFound
        await self.open()
        known = self.worker.works.get(id) or self._ended.get(id)
        record = await self._reading.find(id) if known is None else known.record
        if record is None or (owner is not None and record.owner != owner):
            raise JobNotFound
        return record

    async def _stored(self, record: Record, after: int, limit: int | None = None) -> Sequence[tuple[int, bytes]]:
        """The stored events from the one after number `after` on, in so many pieces. The first may begin earlier."""
        past = self._ended.get(record.id)
        if past is not None:
            return pieces_from(past.pieces, after, limit)
        ended = record.state in FINAL  # already; what is read now may not be all if it ends meanwhile
        pieces = await self.store.events(record.id, record.attempt, after, limit)
        if after == 0 and ended and (limit is None or len(pieces) < limit):
            self._ended.put(record, pieces)
        return pieces

    async def _shown(self, record: Record) -> Job:
        if record.state != "queued":
            return _job(record, 0)
        if record.lease is not None:
            return _job(record, 1)
        ahead = sum(
            work.record.model == record.model and not work.record.started for work in self.worker.works.values()
        )
        return _job(record, ahead + await self._queues.position(record.model, record.id))

    def _remember(self, work: Work) -> None:
        self._ended.put(work.record, work.pieces)


def _decoded(pieces: Sequence[tuple[int, bytes]], after: int) -> list[tuple[int, JobEvent]]:
    """The events after number `after`, each with its number."""
    found: list[tuple[int, JobEvent]] = []
    for begin, data in pieces:
        events = enumerate(decode_events(data), begin + 1)
        found.extend((number, event) for number, event in events if number > after)
    return found


def _record(order: Order, model: str) -> Record:
    request = encode_request(order.request)
    return Record(
        id=order.id or str(uuid.uuid4()),
        owner=order.owner,
        origin=order.origin,
        address=order.address,
        kind=kind_of(order.request),
        model=model,
        priority=order.priority,
        sent=order.sent,
        request=request,
        format=order.format,
        speed=order.speed,
        key=order.key,
        digest=order.digest,
        created=time.time(),
        size=len(request) + len(order.sent),
    )


def _job(record: Record, position: int) -> Job:
    return Job(
        id=record.id,
        owner=record.owner,
        origin=record.origin,
        address=record.address,
        kind=record.kind,
        model=record.model,
        state=record.state,
        sent=record.sent,
        priority=record.priority,
        created=record.created,
        started=record.started,
        first=record.first,
        finished=record.finished if record.state in FINAL else None,
        progress=record.progress,
        note=record.note,
        position=position,
        attempt=record.attempt,
        failure=record.failure,
        events=record.events,
    )
