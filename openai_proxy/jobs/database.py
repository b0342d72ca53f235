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
from msgspec import structs
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from openai_proxy.errors import TooManyJobs
from openai_proxy.jobs import sweeping
from openai_proxy.jobs.connections import engines, migrate, reading
from openai_proxy.jobs.job import FINAL, Failure
from openai_proxy.jobs.store import EXPIRED, LOST, Bounds, Filter, Kept, Record, Step
from openai_proxy.jobs.table_shelf import TableShelf
from openai_proxy.jobs.tables import events, files, jobs, orders
from openai_proxy.jobs.writing import Writing

ORDERED = frozenset({"request", "sent"})
COLUMNS = [column.name for column in jobs.columns]
WAITS = sa.and_(jobs.c.state == "queued", jobs.c.lease.is_(None))
TURN = (jobs.c.priority.desc(), jobs.c.place)
ENDED = jobs.c.state.in_(sorted(FINAL))
FREE: Mapping[str, Any] = {"lease": None, "leased": None}
ANEW: Mapping[str, Any] = {**FREE, "state": "queued", "started": None, "first": None, "progress": 0.0, "events": 0}


class Database:
    """See `Store`. The constructor raises StoreFailed where the URL or what is installed does not do."""

    def __init__(self, url: str) -> None:
        self.engines = engines(url)
        self.reading = self.engines.reading
        self.shared = self.reading.dialect.name == "postgresql"
        self._writes = Writing(self.engines)
        self.shelf = TableShelf(self.reading, self._writes, self.shared)
        self._insert = postgresql.insert if self.shared else sqlite.insert

    async def open(self) -> None:
        await migrate(self.engines.safe)

    async def close(self) -> None:
        await self._writes.close()
        for engine in self.engines:
            await engine.dispose()

    @property
    def _now(self) -> Any:
        return sa.func.extract("epoch", sa.func.clock_timestamp()) if self.shared else time.time()

    @property
    def _tick(self) -> Any:
        return self._now if self.shared else time.monotonic()

    async def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        async with reading(self.reading) as connection:
            rows: Sequence[sa.Row[Any]] = (await connection.execute(query)).all()
            return rows

    # Jobs come

    async def add(self, record: Record, most: int, seconds: float) -> Record:
        values = {name: value for name, value in structs.asdict(record).items() if name in COLUMNS and name != "place"}
        wanted = record.lease
        if wanted is not None:
            others = sa.exists(sa.select(jobs.c.place).where(WAITS, jobs.c.model == record.model))
            leased = {"lease": record.lease, "leased": self._tick + seconds, "attempt": record.attempt}
            waiting = {"lease": None, "leased": None, "attempt": 0}
            values |= {name: sa.case((others, waiting[name]), else_=value) for name, value in leased.items()}

        async def add(connection: AsyncConnection) -> Record:
            if wanted is None:
                mine = sa.select(sa.func.count()).where(jobs.c.owner == record.owner, WAITS)
                if (await connection.execute(mine)).scalar_one() >= most:
                    raise TooManyJobs
            insert = self._insert(jobs).values(values).on_conflict_do_nothing(index_elements=["owner", "key"])
            kept = (await connection.execute(insert.returning(jobs.c.place, jobs.c.lease, jobs.c.attempt))).first()
            if kept is None:
                there = sa.select(jobs, orders.c.sent).join(orders, orders.c.id == jobs.c.id)
                mine = there.where(jobs.c.owner == record.owner, jobs.c.key == record.key)
                return _record((await connection.execute(mine)).one())
            order = {"id": record.id, "request": record.request, "sent": record.sent}
            await connection.execute(sa.insert(orders).values(order))
            record.place, record.lease, record.attempt = kept.place, kept.lease, kept.attempt
            return record

        return await self._writes.do(add, durable=True)

    async def claim(self, lease: str, seconds: float, wanted: Mapping[str, int]) -> list[Record]:
        there = await self._read(sa.select(jobs.c.model).where(WAITS, jobs.c.model.in_(wanted)).distinct())
        if not there:
            return []

        async def claim(connection: AsyncConnection) -> list[Record]:
            claimed: list[Record] = []
            for model in sorted(row.model for row in there):
                query = sa.select(jobs.c.place).where(WAITS, jobs.c.model == model).order_by(*TURN)
                rows = await connection.execute(query.limit(wanted[model]).with_for_update(skip_locked=True))
                places = rows.scalars().all()
                values = {"lease": lease, "leased": self._tick + seconds, "attempt": jobs.c.attempt + 1}
                await connection.execute(sa.update(jobs).where(jobs.c.place.in_(places)).values(values))
                found = sa.select(jobs, orders.c.sent, orders.c.request).join(orders, orders.c.id == jobs.c.id)
                rows = await connection.execute(found.where(jobs.c.place.in_(places)).order_by(*TURN))
                claimed.extend(map(_record, rows.all()))
            return claimed

        return await self._writes.do(claim)

    # What holders of leases do

    async def beat(self, lease: str, seconds: float) -> None:
        await self._update(sa.update(jobs).where(jobs.c.lease == lease).values(leased=self._tick + seconds))

    async def _update(self, update: sa.Update) -> int:
        async def run(connection: AsyncConnection) -> int:
            return (await connection.execute(update)).rowcount

        return await self._writes.do(run)

    async def held(self, lease: str) -> dict[str, tuple[int, bool]]:
        rows = await self._read(sa.select(jobs.c.id, jobs.c.attempt, jobs.c.canceling).where(jobs.c.lease == lease))
        return {row.id: (row.attempt, row.canceling) for row in rows}

    async def write(self, lease: str, steps: Sequence[Step]) -> set[str]:
        async def write(connection: AsyncConnection) -> set[str]:
            return {step.id for step in steps if await self._step(connection, lease, step)}

        return await self._writes.do(write)

    async def _step(self, connection: AsyncConnection, lease: str, step: Step) -> bool:
        """Whether it was taken: the lease and the attempt are still this holder's."""
        mine = sa.and_(jobs.c.id == step.id, jobs.c.lease == lease, jobs.c.attempt == step.attempt)
        if step.state == "succeeded":
            mine = sa.and_(mine, sa.not_(jobs.c.canceling))
        if not (await connection.execute(sa.update(jobs).where(mine).values(_values(step)))).rowcount:
            return False
        if step.count:
            piece = {"id": step.id, "attempt": step.attempt, "begin": step.begin, "data": step.events}
            insert = self._insert(events).values(piece)
            anew = insert.on_conflict_do_update(index_elements=["id", "attempt", "begin"], set_={"data": step.events})
            await connection.execute(anew)
        if step.files:
            named = [{"name": file.name, "id": step.id} for file in step.files]
            await connection.execute(self._insert(files).on_conflict_do_nothing(), named)
        return True

    async def release(self, lease: str, attempts: Mapping[str, int]) -> None:
        these = sa.tuple_(jobs.c.id, jobs.c.attempt).in_(list(attempts.items()))
        mine = sa.and_(jobs.c.lease == lease, these)
        again = {**ANEW, "attempt": jobs.c.attempt - 1}

        async def release(connection: AsyncConnection) -> None:
            ended = {**FREE, "state": "canceled", "finished": self._now}
            await connection.execute(sa.update(jobs).where(mine, jobs.c.canceling).values(ended))
            await connection.execute(sa.delete(events).where(events.c.id.in_(sa.select(jobs.c.id).where(mine))))
            await connection.execute(sa.update(jobs).where(mine).values(again))

        await self._writes.do(release)

    async def expire(self, lease: str, seconds: float, attempts: int, queue_time: float | None) -> int:
        # Machines may differ in how long their leases are, while somebody changes that.
        longest = 10 * seconds + 600 if self.shared else 2 * seconds
        over = sa.or_(jobs.c.leased < self._tick, jobs.c.leased > self._tick + longest)
        # More than "": so that the index is of use.
        dead = sa.and_(jobs.c.lease > "", jobs.c.lease != lease, over)
        late = sa.false() if queue_time is None else sa.and_(WAITS, jobs.c.created < self._now - queue_time)
        if not await self._read(sa.select(jobs.c.id).where(sa.or_(dead, late)).limit(1)):
            return 0

        async def expire(connection: AsyncConnection) -> int:
            found = sa.select(jobs.c.id).where(dead).with_for_update(skip_locked=True)
            ids = (await connection.execute(found)).scalars().all()
            these = jobs.c.id.in_(ids)
            canceled = {**FREE, "state": "canceled", "finished": self._now}
            await connection.execute(sa.update(jobs).where(these, jobs.c.canceling).values(canceled))
            alive = sa.and_(these, jobs.c.lease.is_not(None))
            lost = {**FREE, **self._failed(LOST)}
            await connection.execute(sa.update(jobs).where(alive, jobs.c.attempt >= attempts).values(lost))
            again = sa.select(jobs.c.id).where(alive)
            await connection.execute(sa.delete(events).where(events.c.id.in_(again)))
            await connection.execute(sa.update(jobs).where(alive).values(ANEW))
            await connection.execute(sa.update(jobs).where(late).values(self._failed(EXPIRED)))
            return len(ids)

        return await self._writes.do(expire)

    def _failed(self, why: Failure) -> dict[str, Any]:
        return {"state": "failed", "finished": self._now, "failure": msgspec.json.encode(why)}

    # What clients and operators order

    async def cancel(self, id: str) -> None:
        async def cancel(connection: AsyncConnection) -> None:
            ended = {"state": "canceled", "finished": self._now}
            await connection.execute(sa.update(jobs).where(jobs.c.id == id, WAITS).values(ended))
            running = sa.and_(jobs.c.id == id, sa.not_(ENDED))
            await connection.execute(sa.update(jobs).where(running).values(canceling=True))

        await self._writes.do(cancel)

    async def retry(self, id: str) -> bool:
        async def retry(connection: AsyncConnection) -> bool:
            ended = sa.and_(jobs.c.id == id, jobs.c.state.in_(("failed", "canceled")))
            fresh = {"attempt": 0, "canceling": False, "failure": None, "finished": None, "created": self._now}
            again = await connection.execute(sa.update(jobs).where(ended).values({**ANEW, **fresh}))
            if again.rowcount:
                await connection.execute(sa.delete(events).where(events.c.id == id))
            return again.rowcount > 0

        return await self._writes.do(retry)

    # What is asked

    async def find(self, ids: Collection[str]) -> dict[str, Record]:
        query = sa.select(jobs, orders.c.sent).join(orders, orders.c.id == jobs.c.id).where(jobs.c.id.in_(ids))
        return {row.id: _record(row) for row in await self._read(query)}

    async def events(self, id: str, attempt: int, begin: int) -> list[tuple[int, bytes]]:
        query = sa.select(events.c.begin, events.c.data).where(events.c.id == id, events.c.attempt == attempt)
        # The piece in which `begin` lies may begin before it.
        last = sa.select(sa.func.coalesce(sa.func.max(events.c.begin), 0)).where(
            events.c.id == id, events.c.attempt == attempt, events.c.begin <= begin
        )
        rows = await self._read(query.where(events.c.begin >= last.scalar_subquery()).order_by(events.c.begin))
        return [(row.begin, row.data) for row in rows]

    async def page(self, filter: Filter, limit: int) -> list[Record]:
        query = sa.select(jobs, orders.c.sent).join(orders, orders.c.id == jobs.c.id)
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
        return [_record(row) for row in await self._read(query.order_by(jobs.c.place.desc()).limit(limit))]

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
            async with reading(self.reading) as connection:
                ids = await sweeping.over(connection, bounds, self._now)
                reused = await sweeping.has_old_keys(connection, self._now)
            if not ids and not reused:
                return names
            names += await self._writes.do(partial(sweeping.forget, ids=ids, now=self._now))


def _values(step: Step) -> dict[str, Any]:
    added = len(step.events) + sum(file.size for file in step.files)
    values: dict[str, Any] = {
        "state": step.state,
        "started": step.started,
        "first": step.first,
        "finished": step.finished,
        "progress": step.progress,
        "note": step.note,
        "failure": None if step.failure is None else msgspec.json.encode(step.failure),
        "events": step.begin + step.count,
        "size": jobs.c.size + added,
    }
    return {**values, **FREE} if step.state in FINAL else values


def _record(row: sa.Row[Any]) -> Record:
    values = dict(row._mapping)
    failure = values.pop("failure")
    return Record(failure=None if failure is None else msgspec.json.decode(failure, type=Failure), **values)
