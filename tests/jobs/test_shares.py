"""What each may have of what all share, and who loses what where that is too much."""

from __future__ import annotations

import asyncio

import pytest

from openai_proxy.jobs.shares import share
from openai_proxy.jobs.store import Bounds
from tests.jobs.stores import MANY, added, claimed, step, store


@pytest.mark.parametrize(
    ("totals", "most", "fair"),
    [
        ((), 10, 10),
        ((10,), 10, 10),
        ((11,), 10, 10),
        ((3, 7), 10, 10),
        ((3, 8), 10, 7),
        ((6, 6), 10, 5),
        ((5, 9, 1), 10, 4),
        ((1, 1), 0, 0),
    ],
)
def test_who_has_little_leaves_the_rest_to_others(totals: tuple[int, ...], most: int, fair: int) -> None:
    assert share(totals, most) == fair
    assert sum(min(each, fair) for each in totals) <= most


def test_who_has_most_loses_the_oldest(database: str) -> None:
    async def check() -> None:
        async with store(database) as kept:
            owners = ["bob", "ann", "bob", "ann", "ann", "ann"]
            jobs = [await added(kept, owner=owner, size=10) for owner in owners]
            for number, job in enumerate(await claimed(kept)):
                await kept.write("me", [step(job, state="succeeded", finished=1000.0 + number)])
            for bounds, left in ((Bounds(1e12, 4, 10**12), [0, 2, 4, 5]), (Bounds(1e12, MANY, 30), [2, 4, 5])):
                await kept.sweep(bounds)
                assert {*await kept.find([job.id for job in jobs])} == {jobs[place].id for place in left}

    asyncio.run(check())
