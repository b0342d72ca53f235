"""Jobs in SQLite or PostgreSQL, by SQLAlchemy: survives the process, and several processes may share it.

The clock is the database's where machines share it, this machine's otherwise; then leases go by the one that counts
from the machine's start, which nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa

from openai_proxy.jobs import sweeping
from openai_proxy.jobs.connections import connections, migrate
from openai_proxy.jobs.job import FINAL, Failure, State
from openai_proxy.jobs.statements import CLOCK, FOUND, FREE, WAITS, WITH_SENT, Adding, Stepping, padded, record_of
from openai_proxy.jobs.store import EXPIRED, LOST, Bounds, Expired, Filter, Kept, Record, Step, Unworked
from openai_proxy.jobs.table_shelf import TableShelf
from openai_proxy.jobs.tables import events, files, jobs, orders
from openai_proxy.jobs.writing import Writing

TURN = (jobs.c.priority.desc(), jobs.c.place)
ENDED = jobs.c.state.in_(sorted(FINAL))
ANEW: Mapping[str, Any] = {**FREE, "state": "queued", "started": None, "first": None, "progress": 0.0, "events": 0}


class Database:
    """See `Store`. The constructor raises StoreFailed where the URL or what is installed does not do."""

    def __init__(self, url: str) -> None:
        self.connections = connections(url)
        self.reading = self.connections.reading
        self.shared = self.reading.engine.dialect.name == "postgresql"
        self._writes = Writing(self.connections.safe, self.connections.quick)
        self.shelf = TableShelf(self.reading, self._writes, self.shared)
        self._adding, self._stepping = Adding(shared=self.shared), Stepping(shared=self.shared)

    async def open(self) -> None:
        await migrate(self.connections.safe)

    async def close(self) -> None:
        await self._writes.close()
        for access in self.connections:
            await access.close()

    @property
    def _now(self) -> Any:
        return CLOCK if self.shared else time.time()

    @property
    def _tick(self) -> Any:
        return self._now if self.shared else time.monotonic()

    async def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return await self.reading.read(lambda connection: connection.execute(query).all())

    # Jobs come

    async def add(self, record: Record, most: int, seconds: float) -> Record:
        return await self._writes.do(partial(self._adding, record=record, most=most, seconds=seconds), durable=True)

    async def claim(self, lease: str, seconds: float, wanted: Mapping[str, int]) -> list[Record]:
        there = await self._read(sa.select(jobs.c.model).where(WAITS, jobs.c.model.in_(wanted)).distinct())
        if not there:
            return []

        def claim(connection: sa.Connection) -> list[Record]:
            claimed: list[Record] = []
            for model in sorted(row.model for row in there):
                query = sa.select(jobs.c.place).where(WAITS, jobs.c.model == model).order_by(*TURN)
                rows = connection.execute(query.limit(wanted[model]).with_for_update(skip_locked=True))
                places = rows.scalars().all()
                values = {"lease": lease, "leased": self._tick + seconds, "attempt": jobs.c.attempt + 1}
                connection.execute(sa.update(jobs).where(jobs.c.place.in_(places)).values(values))
                found = sa.select(jobs, orders.c.sent, orders.c.request).join(orders, orders.c.id == jobs.c.id)
                rows = connection.execute(found.where(jobs.c.place.in_(places)).order_by(*TURN))
                claimed.extend(map(record_of, rows.all()))
            return claimed

        return await self._writes.do(claim)

    # What holders of leases do

    async def beat(self, lease: str, seconds: float) -> None:
        await self._update(sa.update(jobs).where(jobs.c.lease == lease).values(leased=self._tick + seconds))

    async def _update(self, update: sa.Update) -> int:
        def run(connection: sa.Connection) -> int:
            return connection.execute(update).rowcount

        return await self._writes.do(run)

    async def held(self, lease: str) -> dict[str, tuple[int, bool]]:
        rows = await self._read(sa.select(jobs.c.id, jobs.c.attempt, jobs.c.canceling).where(jobs.c.lease == lease))
        return {row.id: (row.attempt, row.canceling) for row in rows}

    async def write(self, lease: str, steps: Sequence[Step]) -> set[str]:
        return await self._writes.do(partial(self._stepping, lease=lease, steps=steps))

    async def release(self, lease: str, attempts: Mapping[str, int]) -> Sequence[Unworked]:
        these = sa.tuple_(jobs.c.id, jobs.c.attempt).in_(list(attempts.items()))
        mine = sa.and_(jobs.c.lease == lease, these)
        again = {**ANEW, "attempt": jobs.c.attempt - 1}

        def release(connection: sa.Connection) -> Sequence[Unworked]:
            ended = self._end(connection, sa.and_(mine, jobs.c.canceling), "canceled")
            connection.execute(sa.delete(events).where(events.c.id.in_(sa.select(jobs.c.id).where(mine))))
            connection.execute(sa.update(jobs).where(mine).values(again))
            return ended

        return await self._writes.do(release)

    async def expire(self, lease: str, seconds: float, attempts: int, queue_time: float | None) -> Expired:
        # Machines may differ in how long their leases are, while somebody changes that.
        longest = 10 * seconds + 600 if self.shared else 2 * seconds
        over = sa.or_(jobs.c.leased < self._tick, jobs.c.leased > self._tick + longest)
        # More than "": so that the index is of use.
        dead = sa.and_(jobs.c.lease > "", jobs.c.lease != lease, over)
        late = sa.false() if queue_time is None else sa.and_(WAITS, jobs.c.created < self._now - queue_time)
        if not await self._read(sa.select(jobs.c.id).where(sa.or_(dead, late)).limit(1)):
            return Expired()

        def expire(connection: sa.Connection) -> Expired:
            found = sa.select(jobs.c.id).where(dead).with_for_update(skip_locked=True)
            ids = connection.execute(found).scalars().all()
            these = jobs.c.id.in_(ids)
            canceled = self._end(connection, sa.and_(these, jobs.c.canceling), "canceled")
            alive = sa.and_(these, jobs.c.lease.is_not(None))
            lost = self._end(connection, sa.and_(alive, jobs.c.attempt >= attempts), "failed", LOST)
            again = sa.select(jobs.c.id).where(alive)
            connection.execute(sa.delete(events).where(events.c.id.in_(again)))
            connection.execute(sa.update(jobs).where(alive).values(ANEW))
            expired = self._end(connection, late, "failed", EXPIRED)
            return Expired(len(ids), [*canceled, *lost, *expired])

        return await self._writes.do(expire)

    def _end(self, connection: sa.Connection, which: Any, state: State, why: Failure | None = None) -> list[Unworked]:
        """End these jobs, on which nobody works."""
        failure = None if why is None else msgspec.json.encode(why)
        values = {**FREE, "state": state, "finished": self._now, "failure": failure}
        ended = connection.execute(sa.update(jobs).where(which).values(values).returning(jobs.c.origin))
        return [Unworked(origin, state) for origin in ended.scalars().all()]

    # What clients and operators order

    async def cancel(self, id: str) -> Sequence[Unworked]:
        def cancel(connection: sa.Connection) -> Sequence[Unworked]:
            ended = self._end(connection, sa.and_(jobs.c.id == id, WAITS), "canceled")
            running = sa.and_(jobs.c.id == id, sa.not_(ENDED))
            connection.execute(sa.update(jobs).where(running).values(canceling=True))
            return ended

        return await self._writes.do(cancel)

    async def retry(self, id: str) -> bool:
        def retry(connection: sa.Connection) -> bool:
            ended = sa.and_(jobs.c.id == id, jobs.c.state.in_(("failed", "canceled")))
            fresh = {"attempt": 0, "canceling": False, "failure": None, "finished": None, "created": self._now}
            again = connection.execute(sa.update(jobs).where(ended).values({**ANEW, **fresh}))
            if again.rowcount:
                connection.execute(sa.delete(events).where(events.c.id == id))
            return again.rowcount > 0

        return await self._writes.do(retry)

    # What is asked

    async def find(self, ids: Collection[str]) -> dict[str, Record]:
        def find(connection: sa.Connection) -> dict[str, Record]:
            rows = connection.execute(FOUND, {"ids": padded(ids)})
            return {record.id: record for record in map(record_of, rows)}

        return await self.reading.read(find)

    async def events(self, id: str, attempt: int, begin: int, limit: int | None = None) -> list[tuple[int, bytes]]:
        query = sa.select(events.c.begin, events.c.data).where(events.c.id == id, events.c.attempt == attempt)
        # The piece in which `begin` lies may begin before it.
        last = sa.select(sa.func.coalesce(sa.func.max(events.c.begin), 0)).where(
            events.c.id == id, events.c.attempt == attempt, events.c.begin <= begin
        )
        query = query.where(events.c.begin >= last.scalar_subquery()).order_by(events.c.begin).limit(limit)
        rows = await self._read(query)
        return [(row.begin, row.data) for row in rows]

    async def makers(self, names: Collection[str]) -> dict[str, str]:
        rows = await self._read(sa.select(files).where(files.c.name.in_(names)))
        return {row.name: row.id for row in rows}

    async def page(self, filter: Filter, limit: int, *, sent: bool = True) -> list[Record]:
        query = WITH_SENT if sent else sa.select(jobs)
        for column, value in (
            (jobs.c.owner, filter.owner),
            (jobs.c.origin, filter.origin),
            (jobs.c.address, filter.address),
            (jobs.c.model, filter.model),
        ):
            if value is not None:
                query = query.where(column == value)
        if filter.states is not None:
            query = query.where(jobs.c.state.in_(sorted(filter.states)))
        if filter.before is not None:
            query = query.where(jobs.c.place < filter.before)
        if filter.after is not None:
            query = query.where(jobs.c.place > filter.after)
        return [record_of(row) for row in await self._read(query.order_by(jobs.c.place.desc()).limit(limit))]

    async def queue(self, model: str) -> list[str]:
        rows = await self._read(sa.select(jobs.c.id).where(WAITS, jobs.c.model == model).order_by(*TURN))
        return [row.id for row in rows]

    async def counts(self) -> list[Kept]:
        sums = sa.func.count().label("many"), sa.func.sum(jobs.c.size).label("bytes")
        query = sa.select(jobs.c.model, jobs.c.state, *sums).group_by(jobs.c.model, jobs.c.state)
        return [Kept(row.model, row.state, row.many, int(row.bytes)) for row in await self._read(query)]

    async def sweep(self, bounds: Bounds) -> list[str]:
        names: list[str] = []
        while True:
            ids = await self.reading.read(partial(sweeping.over, bounds=bounds, now=self._now))
            if not ids and not await self.reading.read(partial(sweeping.has_old_keys, now=self._now)):
                return names
            names += await self._writes.do(partial(sweeping.forget, ids=ids, now=self._now))
