"""Which jobs are forgotten, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from openai_proxy.jobs import shares
from openai_proxy.jobs.job import FINAL
from openai_proxy.jobs.store import KEY_AGE, Bounds
from openai_proxy.jobs.tables import events, files, jobs, orders

# As many at a time: others want to write too.
MOST = 500
ENDED = jobs.c.state.in_(sorted(FINAL))
# How many ended jobs each owner has, and the bytes of all.
TOTALS = sa.select(
    jobs.c.owner, sa.func.sum(sa.case((ENDED, 1), else_=0)).label("ended"), sa.func.sum(jobs.c.size).label("size")
).group_by(jobs.c.owner)


def over(connection: sa.Connection, bounds: Bounds, now: Any) -> list[str]:
    """The ids of ended jobs that are over the bounds, the oldest first; there may be more."""
    columns = (jobs.c.id, jobs.c.owner, jobs.c.size)
    oldest = sa.select(*columns).where(ENDED).order_by(jobs.c.finished, jobs.c.place).limit(MOST)
    old = connection.execute(oldest.where(jobs.c.finished < now - bounds.age)).all()
    if old:
        return [row.id for row in old]
    totals = connection.execute(TOTALS).all()
    numbers, sizes = {row.owner: row.ended for row in totals}, {row.owner: int(row.size) for row in totals}
    for most, held, weigh in ((bounds.count, numbers, shares.one), (bounds.size, sizes, shares.size)):
        fair = shares.share(held.values(), most)
        if greedy := [owner for owner in held if held[owner] > fair]:
            theirs = connection.execute(oldest.where(jobs.c.owner.in_(greedy))).all()
            if theirs:
                return [row.id for row in shares.beyond(theirs, held, most, weigh)]
    return []


def has_old_keys(connection: sa.Connection, now: Any) -> bool:
    """Whether there are idempotency keys that may be used anew."""
    found = sa.select(jobs.c.id).where(jobs.c.key.is_not(None), jobs.c.created < now - KEY_AGE).limit(1)
    return connection.execute(found).first() is not None


def forget(connection: sa.Connection, ids: Sequence[str], now: Any) -> list[str]:
    """Delete these jobs, and keys that are old; the names of the jobs' files."""
    stale = sa.and_(jobs.c.key.is_not(None), jobs.c.created < now - KEY_AGE)
    connection.execute(sa.update(jobs).where(stale).values(key=None))
    # Somebody may have had one of them done again meanwhile.
    still = sa.select(jobs.c.id).where(ENDED, jobs.c.id.in_(ids)).with_for_update()
    ids = connection.execute(still).scalars().all()
    names = connection.execute(sa.select(files.c.name).where(files.c.id.in_(ids))).scalars().all()
    for table in (files, events, orders, jobs):
        connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    return list(names)
