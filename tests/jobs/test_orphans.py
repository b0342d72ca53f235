"""Files that no job names are deleted, and no others."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from backends.requests import ImageRequest
from openai_proxy.jobs import orphans
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.job import Order
from openai_proxy.jobs.result import Result
from tests.jobs.desk import Desk, desk

HOUR, DAY = 3600.0, 86_400.0


async def kept(files: Files, age: float) -> str:
    """A file that no job names, so many seconds old."""
    name = await files.put(b"x", "image/png")
    grow_old(files, name, age)
    return name


def grow_old(files: Files, name: str, age: float) -> None:
    then = time.time() - age
    os.utime(Path(files.where) / name[:2] / name, (then, then))


async def drawn(server: Desk) -> str:
    """A file of a job."""
    job = await server.jobs.submit(
        Order(request=ImageRequest(model="echo", prompt="a", width=16, height=16), owner="ann", origin="test")
    )
    await server.jobs.wait(job.id, "ann")
    [file] = Result.of(await server.jobs.events(job.id, "ann")).files
    return file.name


async def swept(server: Desk) -> None:
    """As a server does within an hour."""
    for _ in range(orphans.PARTS):
        await server.jobs.worker._sweep()


def test_what_no_job_names_is_deleted_when_it_is_old(database: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with desk(database, tmp_path, lease=60.0) as server:
            mine, named = server.jobs.files, await drawn(server)
            grow_old(mine, named, 30 * DAY)
            others = Files(mine.where, "0123abcd")
            stay = [named, await kept(mine, 0.0), await kept(mine, HOUR + 30), await kept(others, 14 * DAY)]
            go = [
                await kept(mine, HOUR + 90),
                await kept(others, 16 * DAY),
                await kept(Files(mine.where, ""), 16 * DAY),
            ]
            await swept(server)
            assert [await mine.size(name) is None for name in (*stay, *go)] == [False] * len(stay) + [True] * len(go)

    asyncio.run(check())


def test_what_a_job_in_hand_made_is_not_deleted(tmp_path: Path) -> None:
    async def check() -> None:
        async with desk("memory", tmp_path) as server:
            await server.jobs.open()
            name = await kept(server.jobs.files, DAY)
            for _ in range(orphans.PARTS):
                await server.jobs.worker.orphans.sweep(0.0, {name})
            assert await server.jobs.files.size(name) == 1

    asyncio.run(check())


def test_a_clock_that_was_set_makes_nothing_old(tmp_path: Path) -> None:
    async def check() -> None:
        async with desk("memory", tmp_path) as server:
            await server.jobs.open()
            name = await kept(server.jobs.files, 2 * HOUR)
            server.jobs.worker.clock._ahead = DAY
            await swept(server)
            assert await server.jobs.files.size(name) == 1

    asyncio.run(check())
