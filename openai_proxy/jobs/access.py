"""Functions that use a connection, run beside the event loop: in a thread where the driver blocks, else as greenlets.

So each of them is written once, as plain calls, for SQLite and for PostgreSQL, and in SQLite a whole transaction costs
the event loop as much as a single statement.
Source: https://docs.sqlalchemy.org/en/21/orm/extensions/asyncio.html (running synchronous methods under asyncio).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from openai_proxy.errors import EdgeError, StoreFailed

T = TypeVar("T")
Work: TypeAlias = Callable[[sa.Connection], T]

# Seconds after which a connection that nobody used is asked whether its server is still there.
FRESH = 1.0


class Access:
    """Connections of one kind: those of a pool that read, or one that writes, in a transaction, and is kept open.

    `threads` is 0 where the driver is one of the event loop.
    """

    def __init__(self, engine: sa.Engine, threads: int) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(threads, "jobs") if threads else None
        self._kept: sa.Connection | None = None
        self._used = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """Have a function run that may use connections of this kind."""
        if self._threads is None:
            return await greenlet_spawn(work)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def read(self, work: Work[T]) -> T:
        """What `work` gives, which only reads. Raises StoreFailed."""
        return await self.run(partial(self._read, work))

    async def write(self, works: Sequence[Work[Any]]) -> list[Any]:
        """What each of these gives, or the EdgeError that it raises, when all is committed. One transaction at a time.

        Raises StoreFailed, and what they raise; then nothing was written, or it is not known what.
        """
        return await self.run(partial(self._write, works))

    async def close(self) -> None:
        """End the connections."""
        await self.run(self._close)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    # Beside the event loop

    def _read(self, work: Work[T]) -> T:
        with told():
            try:
                return self._once(work)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The server was away since that connection was used: others are made anew.
                return self._once(work)

    def _once(self, work: Work[T]) -> T:
        with connected(self.engine) as connection:
            return work(connection)

    def _write(self, works: Sequence[Work[Any]]) -> list[Any]:
        try:
            connection = self._open()
            with told(), connection.begin():
                results = [_result(work, connection) for work in works]
        except BaseException:
            self._drop()
            raise
        self._used = time.monotonic()
        return results

    def _open(self) -> sa.Connection:
        """Kept open: to take one from a pool and to give it back costs as much as a small write."""
        if self._kept is not None and time.monotonic() < self._used + FRESH:
            return self._kept
        kept, self._kept = self._kept, None
        if kept is not None:
            with told():
                kept.close()
        # Those from a pool are there, or are made anew.
        self._kept = connected(self.engine)
        return self._kept

    def _drop(self) -> None:
        """After a failure nobody knows in what state the connection is."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with contextlib.suppress(StoreFailed), told():
                kept.invalidate()
                kept.close()

    def _close(self) -> None:
        kept, self._kept = self._kept, None
        with contextlib.suppress(StoreFailed), told():
            if kept is not None:
                kept.close()
            self.engine.dispose()


def connected(engine: sa.Engine) -> sa.Connection:
    """A connection of its pool. Raises StoreFailed: drivers raise what they like where nobody answers them."""
    try:
        return engine.connect()
    except Exception as error:
        raise _failed(error) from error


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What goes wrong with the database is StoreFailed."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise _failed(error) from error


def _failed(error: Exception) -> StoreFailed:
    lines = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
    return StoreFailed(f"Jobs cannot be kept at the moment: {lines[0][:300]}")


def _result(work: Work[Any], connection: sa.Connection) -> Any:
    try:
        return work(connection)
    except EdgeError as error:
        return error
