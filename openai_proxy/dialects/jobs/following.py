"""A job's events as server-sent events: `job` with its standing whenever that changes, the others as they come.

An id is the run and the number of the event in it. Work that began anew has another run: who comes back with an id of
an earlier one is told everything from the beginning.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from openai_proxy.dialects.jobs.shown import JobEntry, entry
from openai_proxy.errors import Draining
from openai_proxy.jobs.job import Job, JobEvent
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.lifecycle import Lifecycle

# Seconds between two looks at a job's standing.
LOOK_EVERY = 0.5
ID = re.compile(r"([0-9a-f]{1,16})-([0-9]{1,9})").fullmatch


async def told(jobs: Jobs, id: str, last: str, lifecycle: Lifecycle) -> AsyncGenerator[bytes, None]:
    """The stream, to the job's end. Raises JobNotFound, StoreFailed, and Draining where the server ends before."""
    follower = Follower(jobs, id)
    await follower.look()
    run, follower.after = _parsed(last)
    while True:
        if run != follower.run:
            run, follower.after = follower.run, 0
        async with aclosing(follower.until_over()) as pieces:
            async for piece in pieces:
                yield piece
                if lifecycle.phase == "draining" and follower.job.state == "queued":
                    raise Draining
                if run and follower.run != run:
                    break
                run = follower.run
        await follower.look()
        if follower.job.ended:
            yield follower.standing(last=True)
            return
        if lifecycle.phase == "draining":
            raise Draining


class Follower:
    """One client's view of a job: it has the events of this `run`, empty until there is one, up to number `after`."""

    job: Job
    run = ""
    after = 0
    _shown: JobEntry | None = None
    _due = 0.0

    def __init__(self, jobs: Jobs, id: str) -> None:
        self.jobs = jobs
        self.id = id

    async def look(self) -> None:
        self.job = await self.jobs.get(self.id, None)
        self.run = "" if self.job.started is None else f"{int(self.job.started * 1000):x}"
        self._due = time.monotonic() + LOOK_EVERY

    def standing(self, *, last: bool = False) -> bytes:
        """How the job stands, if that is news; that it has ended only as the last thing."""
        now = entry(self.job)
        if self.job.ended and not last:
            return b""
        if self._shown is not None and msgspec.structs.replace(now, events=self._shown.events) == self._shown:
            return b""
        self._shown = now
        return b"event: job\ndata: " + msgspec.json.encode(now) + b"\n\n"

    async def until_over(self) -> AsyncGenerator[bytes, None]:
        """What is to be told until there are no more events of this run; now and then nothing."""
        yield self.standing()
        async with (
            aclosing(self.jobs.follow(self.id, None, self.after)) as events,
            aclosing(_ticking(events)) as ticking,
        ):
            async for found in ticking:
                if not self.run or time.monotonic() >= self._due:
                    await self.look()
                    yield self.standing()
                if found is not None:
                    yield self._event(*found)

    def _event(self, number: int, event: JobEvent) -> bytes:
        name = type(event).__name__.lower()
        self.after = number
        return f"id: {self.run}-{number}\nevent: {name}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"


async def _ticking(
    events: AsyncGenerator[tuple[int, JobEvent], None],
) -> AsyncGenerator[tuple[int, JobEvent] | None, None]:
    """The same, and None whenever there was nothing for a while."""
    coming: asyncio.Future[tuple[int, JobEvent] | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events, None))
            if not (await asyncio.wait({coming}, timeout=LOOK_EVERY))[0]:
                yield None
                continue
            found, coming = coming.result(), None
            if found is None:
                return
            yield found
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})


def _parsed(last: str) -> tuple[str, int]:
    """Run and number of the last event that a client has; nothing where it has none, or says something else."""
    found = ID(last)
    return (found[1], int(found[2])) if found else ("", 0)
