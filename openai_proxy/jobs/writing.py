"""All writes of this process, one transaction after another: what comes while one is on its way goes with the next."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.access import Access, Work

T = TypeVar("T")


class Write(Struct):
    """`work` may raise EdgeError as long as it has written nothing."""

    work: Work[Any]
    durable: bool
    done: asyncio.Future[Any]


class Writing:
    """A commit costs as much for a hundred jobs as for one. `safe` puts it on the disk, `quick` leaves it for later."""

    def __init__(self, safe: Access, quick: Access) -> None:
        self.safe = safe
        self.quick = quick
        self._waiting: list[Write] = []
        self._writer: asyncio.Task[None] | None = None

    async def do(self, work: Work[T], *, durable: bool = False) -> T:
        """What `work` gives, when it is committed; `durable`: on the disk. Raises what it raises, or StoreFailed."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Write(work, durable, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="write jobs")
        return await done

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                if not await self._together(batch):
                    for write in batch:
                        await self._together([write])
        finally:
            self._writer = None

    async def _together(self, batch: list[Write]) -> bool:
        """One transaction; False where it has to be tried with each of them alone."""
        access = self.safe if any(write.durable for write in batch) else self.quick
        try:
            results = await access.write([write.work for write in batch])
        except Exception as error:  # noqa: BLE001 - told to whoever asked for it
            if len(batch) > 1 and not _gone(error):
                return False
            results = [error] * len(batch)
        for write, result in zip(batch, results, strict=True):
            if write.done.done():  # whoever asked has gone
                continue
            if isinstance(result, Exception):
                write.done.set_exception(result)
            else:
                write.done.set_result(result)
        return True

    async def close(self) -> None:
        """Write what waits."""
        while self._writer is not None:
            await asyncio.wait([self._writer])


def _gone(error: Exception) -> bool:
    """Whether nothing can be written at all, and not only one of several writes."""
    if not isinstance(error, StoreFailed):
        return False
    cause = error.__cause__
    return not isinstance(cause, DBAPIError) or cause.connection_invalidated
