"""Errands in the database of jobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.dialects import postgresql, sqlite

from openai_proxy.jobs.access import Access
from openai_proxy.jobs.shelf import Errand
from openai_proxy.jobs.statements import CLOCK, padded
from openai_proxy.jobs.tables import errands
from openai_proxy.jobs.writing import Writing

FOUND = sa.select(errands).where(errands.c.id.in_(sa.bindparam("ids", expanding=True)))


class TableShelf:
    """See `Shelf`. `shared`: in PostgreSQL, whose clock then counts."""

    def __init__(self, reading: Access, writes: Writing, shared: bool) -> None:
        self.reading = reading
        self.writes = writes
        self.shared = shared
        self._insert = postgresql.insert if shared else sqlite.insert

    @property
    def _now(self) -> Any:
        return CLOCK if self.shared else time.time()

    async def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return await self.reading.read(lambda connection: connection.execute(query).all())

    async def put(self, errand: Errand) -> bool:
        values = structs.asdict(errand)
        known = values.pop("version")
        del values["place"]

        def add(connection: sa.Connection) -> int | None:
            insert = self._insert(errands).values(**values, version=1).on_conflict_do_nothing(index_elements=["id"])
            place: int | None = connection.execute(insert.returning(errands.c.place)).scalar_one_or_none()
            return place

        def change(connection: sa.Connection) -> int | None:
            mine = sa.and_(errands.c.id == errand.id, errands.c.version == known)
            changed = connection.execute(sa.update(errands).where(mine).values(**values, version=known + 1))
            return errand.place if changed.rowcount else None

        place = await self.writes.do(change if known else add, durable=True)
        if place is None:
            return False
        errand.version, errand.place = known + 1, place
        return True

    async def find(self, ids: Collection[str]) -> dict[str, Errand]:
        def find(connection: sa.Connection) -> dict[str, Errand]:
            rows = connection.execute(FOUND, {"ids": padded(ids)})
            return {errand.id: errand for errand in map(_errand, rows)}

        return await self.reading.read(find)

    async def ids(self, origin: str, owner: str, states: Collection[str], limit: int) -> list[str]:
        query = sa.select(errands.c.id).where(_such(origin, owner, states))
        rows = await self._read(query.order_by(errands.c.place.desc()).limit(limit))
        return [row.id for row in reversed(rows)]

    async def count(self, origin: str, owner: str | None, states: Collection[str]) -> int:
        [row] = await self._read(sa.select(sa.func.count().label("many")).where(_such(origin, owner, states)))
        many: int = row.many
        return many

    async def take(self, origins: Collection[str], seconds: float, limit: int) -> list[Errand]:
        due = sa.and_(errands.c.due <= self._now, errands.c.origin.in_(origins))
        query = sa.select(errands.c.place).where(due).order_by(errands.c.place).limit(limit)
        if not await self._read(query.limit(1)):
            return []

        def take(connection: sa.Connection) -> list[Errand]:
            places = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
            these = errands.c.place.in_(places)
            values = {"due": self._now + seconds, "version": errands.c.version + 1}
            connection.execute(sa.update(errands).where(these).values(values))
            rows = connection.execute(sa.select(errands).where(these).order_by(errands.c.place))
            return [_errand(row) for row in rows.all()]

        return await self.writes.do(take)

    async def beat(self, held: Mapping[str, int], seconds: float) -> None:
        def beat(connection: sa.Connection) -> None:
            for id, version in held.items():
                mine = sa.and_(errands.c.id == id, errands.c.version == version, errands.c.due.is_not(None))
                connection.execute(sa.update(errands).where(mine).values(due=self._now + seconds))

        await self.writes.do(beat)

    async def sweep(self) -> None:
        old = errands.c.until < self._now
        if not await self._read(sa.select(errands.c.id).where(old).limit(1)):
            return

        def sweep(connection: sa.Connection) -> None:
            connection.execute(sa.delete(errands).where(old))

        await self.writes.do(sweep)


def _such(origin: str, owner: str | None, states: Collection[str]) -> sa.ColumnElement[bool]:
    whose = sa.true() if owner is None else errands.c.owner == owner
    return sa.and_(errands.c.origin == origin, whose, errands.c.state.in_(sorted(states)))


def _errand(row: sa.Row[Any]) -> Errand:
    return Errand(**dict(zip(row._fields, row, strict=True)))
