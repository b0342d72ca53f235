"""All writes of this process, one transaction after another: what comes while one is on its way goes with the next."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openai_proxy.errors import EdgeError, StoreFailed
from openai_proxy.jobs.connections import Engines, connected, told

T = TypeVar("T")
Work: TypeAlias = Callable[[AsyncConnection], Awaitable[T]]

# Seconds after which a connection that nobody used is asked whether its server is still there.
FRESH = 1.0


class Write(Struct):
    """`work` may raise EdgeError as long as it has written nothing."""

    work: Work[Any]
    durable: bool
    done: asyncio.Future[Any]


class Open(Struct):
    """A connection, and when it was used last (monotonic seconds)."""

    connection: AsyncConnection
    used: float


class Writing:
    """A commit costs as much for a hundred jobs as for one."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self._waiting: list[Write] = []
        self._writer: asyncio.Task[None] | None = None
        self._open: dict[AsyncEngine, Open] = {}

    async def do(self, work: Work[T], *, durable: bool = False) -> T:
        """What `work` gives, when it is committed; `durable`: on the disk. Raises what it raises, or StoreFailed."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Write(work, durable, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="write jobs")
        return await asyncio.shield(done)

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
        engine = self.engines.safe if any(write.durable for write in batch) else self.engines.quick
        try:
            results = await self._commit(engine, batch)
        except Exception as error:  # noqa: BLE001 - told to whoever asked for it
            await self._drop(engine)
            if len(batch) > 1 and not _gone(error):
                return False
            results = [error] * len(batch)
        for write, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                write.done.set_exception(result)
                write.done.exception()  # whoever asked may have gone meanwhile
            else:
                write.done.set_result(result)
        return True

    async def _commit(self, engine: AsyncEngine, batch: list[Write]) -> list[Any]:
        connection = await self._connection(engine)
        async with told(), connection.begin():
            results = [await _result(write.work, connection) for write in batch]
        self._open[engine].used = time.monotonic()
        return results

    async def _connection(self, engine: AsyncEngine) -> AsyncConnection:
        """Kept open: to take one from a pool and to give it back costs as much as a small write."""
        known = self._open.get(engine)
        if known is not None and time.monotonic() < known.used + FRESH:
            return known.connection
        if known is not None:
            del self._open[engine]
            async with told():
                await known.connection.close()
        # Those from a pool are there, or are made anew.
        connection = await connected(engine)
        self._open[engine] = Open(connection, time.monotonic())
        return connection

    async def _drop(self, engine: AsyncEngine) -> None:
        """After a failure nobody knows in what state the connection is."""
        known = self._open.pop(engine, None)
        if known is not None:
            with contextlib.suppress(StoreFailed):
                async with told():
                    await known.connection.invalidate()
                    await known.connection.close()

    async def close(self) -> None:
        """Write what waits, then end the connections."""
        while self._writer is not None:
            await asyncio.wait([self._writer])
        for engine in tuple(self._open):
            with contextlib.suppress(StoreFailed):
                async with told():
                    await self._open.pop(engine).connection.close()


def _gone(error: Exception) -> bool:
    """Whether nothing can be written at all, and not only one of several writes."""
    if not isinstance(error, StoreFailed):
        return False
    cause = error.__cause__
    return not isinstance(cause, DBAPIError) or cause.connection_invalidated


async def _result(work: Work[Any], connection: AsyncConnection) -> Any:
    try:
        return await work(connection)
    except EdgeError as error:
        return error
