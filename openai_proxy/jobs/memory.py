"""Jobs without a database: they are gone with the process. The twin of `database`, for tests and for who wants that."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from openai_proxy.errors import TooManyJobs
from openai_proxy.jobs import shares
from openai_proxy.jobs.encoding import pieces_from
from openai_proxy.jobs.job import FINAL, Failure, State
from openai_proxy.jobs.shelf import MemoryShelf
from openai_proxy.jobs.store import EXPIRED, KEY_AGE, LOST, Bounds, Expired, Filter, Kept, Record, Step, Unworked


class MemoryStore:
    """See `Store`."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._requests: dict[str, bytes] = {}
        self._events: dict[str, tuple[int, list[tuple[int, bytes]]]] = {}
        self._files: dict[str, list[str]] = {}
        self._places = itertools.count(1)
        self.shelf = MemoryShelf()

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def add(self, record: Record, most: int, seconds: float) -> Record:
        for other in self.records.values():
            if record.key is not None and (other.owner, other.key) == (record.owner, record.key):
                return copy.copy(other)
        mine = [each for each in self._waiting() if each.owner == record.owner]
        if record.lease is None and len(mine) >= most:
            raise TooManyJobs
        if record.lease is not None and any(each.model == record.model for each in self._waiting()):
            record.lease, record.attempt = None, 0
        record.place = next(self._places)
        record.leased = None if record.lease is None else time.monotonic() + seconds
        self._requests[record.id] = record.request
        self.records[record.id] = copy.copy(record)
        self.records[record.id].request = b""
        return record

    def _waiting(self) -> Iterator[Record]:
        return (each for each in self.records.values() if each.state == "queued" and each.lease is None)

    async def claim(self, lease: str, seconds: float, wanted: Mapping[str, int]) -> list[Record]:
        claimed: list[Record] = []
        for model, most in wanted.items():
            for record in self._queue(model)[:most]:
                record.lease, record.leased, record.attempt = lease, time.monotonic() + seconds, record.attempt + 1
                found = copy.copy(record)
                found.request = self._requests[record.id]
                claimed.append(found)
        return claimed

    def _queue(self, model: str) -> list[Record]:
        waiting = [record for record in self._waiting() if record.model == model]
        return sorted(waiting, key=lambda record: (-record.priority, record.place))

    async def beat(self, lease: str, seconds: float) -> None:
        for record in self._held(lease):
            record.leased = time.monotonic() + seconds

    def _held(self, lease: str) -> Iterator[Record]:
        return (each for each in self.records.values() if each.lease == lease)

    async def held(self, lease: str) -> dict[str, tuple[int, bool]]:
        return {each.id: (each.attempt, each.canceling) for each in self._held(lease)}

    async def write(self, lease: str, steps: Sequence[Step]) -> set[str]:
        taken: set[str] = set()
        for step in steps:
            record = self.records.get(step.id)
            if record is None or (record.lease, record.attempt) != (lease, step.attempt):
                continue
            if step.state != "succeeded" or not record.canceling:
                self._write(record, step)
                taken.add(step.id)
        return taken

    def _write(self, record: Record, step: Step) -> None:
        record.state, record.started, record.first = step.state, step.started, step.first
        record.progress, record.note = step.progress, step.note
        record.finished, record.failure = step.finished, step.failure
        _, there = self._events.get(step.id, (0, []))
        self._events[step.id] = step.attempt, [*(each for each in there if each[0] < step.begin), *step.pieces]
        self._files.setdefault(step.id, []).extend(file.name for file in step.files)
        record.events = step.begin + step.count
        record.size += step.size
        if step.state in FINAL:
            record.lease = record.leased = None

    async def release(self, lease: str, attempts: Mapping[str, int]) -> Sequence[Unworked]:
        ended: list[Unworked] = []
        for record in list(self._held(lease)):
            if attempts.get(record.id) == record.attempt:
                if not record.canceling:
                    record.attempt -= 1
                ended += self._put_back(record)
        return ended

    def _put_back(self, record: Record) -> Sequence[Unworked]:
        if record.canceling:
            return self._end(record, "canceled")
        record.lease = record.leased = record.started = record.first = None
        record.state, record.progress, record.events = "queued", 0.0, 0
        self._events.pop(record.id, None)
        return ()

    async def expire(self, lease: str, seconds: float, attempts: int, queue_time: float | None) -> Expired:
        now = time.monotonic()
        dead = [record for record in self.records.values() if record.lease not in (None, lease)]
        dead = [
            record for record in dead if record.leased is not None and not now <= record.leased <= now + 2 * seconds
        ]
        late = [record for record in self._waiting() if record.created < time.time() - (queue_time or math.inf)]
        ended: list[Unworked] = []
        for record in dead:
            lost = record.attempt >= attempts and not record.canceling
            ended += self._end(record, "failed", LOST) if lost else self._put_back(record)
        for record in late:
            ended += self._end(record, "failed", EXPIRED)
        return Expired(len(dead), ended)

    def _end(self, record: Record, state: State, failure: Failure | None = None) -> Sequence[Unworked]:
        record.state, record.finished, record.failure = state, time.time(), failure
        record.lease = record.leased = None
        return [Unworked(record.origin, state)]

    async def cancel(self, id: str) -> Sequence[Unworked]:
        record = self.records.get(id)
        if record is None or record.state in FINAL:
            return ()
        if record.lease is None:
            return self._end(record, "canceled")
        record.canceling = True
        return ()

    async def retry(self, id: str) -> bool:
        now = time.time()
        record = self.records.get(id)
        if record is None or record.state not in ("failed", "canceled"):
            return False
        record.canceling, record.failure, record.finished, record.created = False, None, None, now
        record.attempt = 0
        self._put_back(record)
        return True

    async def find(self, ids: Collection[str]) -> dict[str, Record]:
        return {id: copy.copy(self.records[id]) for id in ids if id in self.records}

    async def events(self, id: str, attempt: int, begin: int, limit: int | None = None) -> list[tuple[int, bytes]]:
        of, pieces = self._events.get(id, (0, []))
        return pieces_from(pieces, begin, limit) if of == attempt else []

    async def makers(self, names: Collection[str]) -> dict[str, str]:
        return {name: id for id, each in self._files.items() for name in each if name in names}

    async def page(self, filter: Filter, limit: int, *, sent: bool = True) -> list[Record]:
        fitting = [copy.copy(record) for record in self.records.values() if _fits(record, filter)]
        return sorted(fitting, key=lambda record: -record.place)[:limit]

    async def queue(self, model: str) -> list[str]:
        return [record.id for record in self._queue(model)]

    async def counts(self) -> list[Kept]:
        sizes: defaultdict[tuple[str, State], list[int]] = defaultdict(list)
        for record in self.records.values():
            sizes[record.model, record.state].append(record.size)
        return [Kept(model, state, len(each), sum(each)) for (model, state), each in sizes.items()]

    async def sweep(self, bounds: Bounds) -> list[str]:
        now = time.time()
        for record in self.records.values():
            if record.created < now - KEY_AGE:
                record.key = None
        names: list[str] = []
        while gone := self._over(bounds, now):
            names += [name for record in gone for name in self._forget(record.id)]
        return names

    def _over(self, bounds: Bounds, now: float) -> list[Record]:
        ended = [record for record in self.records.values() if record.state in FINAL]
        ended.sort(key=lambda record: record.finished or now)
        if old := [record for record in ended if (record.finished or now) < now - bounds.age]:
            return old
        numbers, sizes = shares.held(ended, shares.one), shares.held(self.records.values(), shares.size)
        return shares.beyond(ended, numbers, bounds.count, shares.one) or shares.beyond(
            ended, sizes, bounds.size, shares.size
        )

    def _forget(self, id: str) -> list[str]:
        del self.records[id], self._requests[id]
        self._events.pop(id, None)
        return self._files.pop(id, [])


def _fits(record: Record, filter: Filter) -> bool:
    return (
        filter.owner in (None, record.owner)
        and filter.origin in (None, record.origin)
        and filter.address in (None, record.address)
        and filter.model in (None, record.model)
        and (filter.states is None or record.state in filter.states)
        and (filter.before is None or record.place < filter.before)
        and (filter.after is None or record.place > filter.after)
    )
