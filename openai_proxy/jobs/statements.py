"""The statements of the busy paths, made once: to make one anew costs as much as to have it executed."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from openai_proxy.errors import TooManyJobs
from openai_proxy.jobs.job import FINAL, Failure
from openai_proxy.jobs.store import Record, Step
from openai_proxy.jobs.tables import events, files, jobs, orders

WAITS = sa.and_(jobs.c.state == "queued", jobs.c.lease.is_(None))
FREE: Mapping[str, Any] = {"lease": None, "leased": None}
# What the database knows of a new job by itself, and what tells who works on it.
PLACE, LEASE = "place", ("lease", "leased", "attempt")
COLUMNS = [column.name for column in jobs.columns if column.name not in (PLACE, *LEASE)]

WITH_SENT = sa.select(jobs, orders.c.sent).join(orders, orders.c.id == jobs.c.id)
FOUND = WITH_SENT.where(jobs.c.id.in_(sa.bindparam("ids", expanding=True)))
OF_KEY = WITH_SENT.where(jobs.c.owner == sa.bindparam("owner"), jobs.c.key == sa.bindparam("key"))
WAITING = sa.select(sa.func.count()).where(jobs.c.owner == sa.bindparam("owner"), WAITS)
ORDER = sa.insert(orders)
CLOCK = sa.func.extract("epoch", sa.func.clock_timestamp())


def _bound(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"new_{name}", type_=jobs.c[name].type)


class Adding:
    """Puts new jobs in. `shared`: in PostgreSQL, whose clock then counts."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        until = CLOCK + sa.bindparam("seconds", type_=jobs.c.leased.type) if shared else _bound("leased")
        insert = (postgresql.insert if shared else sqlite.insert)(jobs)
        new = insert.on_conflict_do_nothing(index_elements=["owner", "key"])
        self._waits = new.returning(*(jobs.c[name] for name in (PLACE, *LEASE)))
        # Not begun where others of its model wait.
        others = sa.exists(sa.select(jobs.c.place).where(WAITS, jobs.c.model == _bound("model")))
        begun = {"lease": _bound("lease"), "leased": until, "attempt": _bound("attempt")}
        late = {"lease": sa.null(), "leased": sa.null(), "attempt": sa.literal(0)}
        self._begins = self._waits.values({name: sa.case((others, late[name]), else_=begun[name]) for name in LEASE})

    def __call__(self, connection: sa.Connection, record: Record, most: int, seconds: float) -> Record:
        """See `Store.add`."""
        values: dict[str, Any] = {name: getattr(record, name) for name in COLUMNS}
        values["failure"] = None
        if record.lease is None:
            if connection.execute(WAITING, {"owner": record.owner}).scalar_one() >= most:
                raise TooManyJobs
            values |= {"lease": None, "leased": None, "attempt": 0}
        else:
            values |= {"new_model": record.model, "new_lease": record.lease, "new_attempt": record.attempt}
            values |= {"seconds": seconds} if self.shared else {"new_leased": time.monotonic() + seconds}
        insert = self._waits if record.lease is None else self._begins
        kept = connection.execute(insert, values).first()
        if kept is None:
            return record_of(connection.execute(OF_KEY, {"owner": record.owner, "key": record.key}).one())
        connection.execute(ORDER, {"id": record.id, "request": record.request, "sent": record.sent})
        record.place, record.lease, record.attempt = kept.place, kept.lease, kept.attempt
        return record


class Stepping:
    """Writes what holders of leases say."""

    def __init__(self, *, shared: bool) -> None:
        insert = postgresql.insert if shared else sqlite.insert
        mine = (getattr(jobs.c, name) == sa.bindparam(f"my_{name}") for name in ("id", "lease", "attempt"))
        self._any = sa.update(jobs).where(*mine).values(size=jobs.c.size + sa.bindparam("more"))
        self._wanted = self._any.where(sa.not_(jobs.c.canceling))
        pieces = insert(events)
        keys = ["id", "attempt", "begin"]
        self._events = pieces.on_conflict_do_update(index_elements=keys, set_={"data": pieces.excluded.data})
        self._files = insert(files).on_conflict_do_nothing()

    def __call__(self, connection: sa.Connection, lease: str, steps: Sequence[Step]) -> set[str]:
        """See `Store.write`."""
        return {step.id for step in steps if self._write(connection, lease, step)}

    def _write(self, connection: sa.Connection, lease: str, step: Step) -> bool:
        """Whether it was taken: the lease and the attempt are still this holder's."""
        update = self._wanted if step.state == "succeeded" else self._any
        mine = {"my_id": step.id, "my_lease": lease, "my_attempt": step.attempt}
        if not connection.execute(update, {**mine, **_values(step)}).rowcount:
            return False
        if step.pieces:
            mine = {"id": step.id, "attempt": step.attempt}
            connection.execute(self._events, [{**mine, "begin": begin, "data": data} for begin, data in step.pieces])
        if step.files:
            connection.execute(self._files, [{"name": file.name, "id": step.id} for file in step.files])
        return True


def _values(step: Step) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": step.state,
        "started": step.started,
        "first": step.first,
        "finished": step.finished,
        "progress": step.progress,
        "note": step.note,
        "failure": None if step.failure is None else msgspec.json.encode(step.failure),
        "events": step.begin + step.count,
        "more": step.size,
    }
    return {**values, **FREE} if step.state in FINAL else values


def padded(ids: Collection[str]) -> list[str]:
    """Some of them again, up to a power of two: only few kinds of statements need be prepared."""
    listed = list(ids)
    return listed + listed[:1] * ((1 << (len(listed) - 1).bit_length()) - len(listed))


def record_of(row: sa.Row[Any]) -> Record:
    """A row of `jobs`, maybe with columns of `orders`."""
    values = dict(zip(row._fields, row, strict=True))  # half of the time that its mapping takes
    if values["failure"] is not None:
        values["failure"] = msgspec.json.decode(values["failure"], type=Failure)
    return Record(**values)
