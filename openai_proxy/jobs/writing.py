"""All writes of this process, one transaction after another: what comes while one is on its way goes with the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openai_proxy.errors import EdgeError, StoreFailed
from openai_proxy.jobs.connections import Engines, told

T = TypeVar("T")
Work: TypeAlias = Callable[[AsyncConnection], Awaitable[T]]


class Write(Struct):
    """`work` may raise EdgeError as long as it has written nothing."""

    work: Work[Any]
    durable: bool
    done: asyncio.Future[Any]


class Writing:
    """A commit costs as much for a hundred jobs as for one."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self._waiting: list[Write] = []
        self._writer: asyncio.Task[None] | None = None
        self._open: dict[AsyncEngine, AsyncConnection] = {}

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
            async with told():
                connection = await self._connection(engine)
                async with connection.begin():
                    results = [await _result(write.work, connection) for write in batch]
        except StoreFailed as error:
            await self._drop(engine)
            if len(batch) > 1:
                return False
            results = [error]
        for write, result in zip(batch, results, strict=True):
            if isinstance(result, EdgeError):
                write.done.set_exception(result)
                write.done.exception()  # whoever asked may have gone meanwhile
            else:
                write.done.set_result(result)
        return True

    async def _connection(self, engine: AsyncEngine) -> AsyncConnection:
        """Kept open: to take one from a pool and to give it back costs as much as a small write."""
        connection = self._open.get(engine)
        if connection is None:
            connection = self._open[engine] = await engine.connect()
        return connection

    async def _drop(self, engine: AsyncEngine) -> None:
        """After a failure nobody knows in what state the connection is."""
        connection = self._open.pop(engine, None)
        if connection is not None:
            with contextlib.suppress(StoreFailed):
                async with told():
                    await connection.invalidate()
                    await connection.close()

    async def close(self) -> None:
        """Write what waits, then end the connections."""
        while self._writer is not None:
            await asyncio.wait([self._writer])
        for engine in tuple(self._open):
            connection = self._open.pop(engine)
            await connection.close()


async def _result(work: Work[Any], connection: AsyncConnection) -> Any:
    try:
        return await work(connection)
    except EdgeError as error:
        return error
