"""The SQLite file of documents: one connection that writes, in a thread of its own, and some that read.

By `apsw`, which brings a SQLite of its own: that of Python often cannot load `sqlite-vec`, nor is it always new enough.
Sources: https://www.sqlite.org/wal.html, https://rogerbinns.github.io/apsw/, https://alexgarcia.xyz/sqlite-vec/.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

import apsw
import sqlite_vec

from openai_proxy.documents.tables import TABLES, VERSION
from openai_proxy.errors import StoreFailed

T = TypeVar("T")
Database: TypeAlias = apsw.Connection

# Milliseconds that SQLite waits for another process that writes.
PATIENCE = 10_000
# Seconds after which it is tried again to open what is busy.
AGAIN = 0.02
READERS = 2
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")


class Store:
    """Nothing is opened before the first use. All raise StoreFailed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="documents-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="documents-read")
        self._own = threading.local()

    async def write(self, work: Callable[[Database], T]) -> T:
        """Do it in one transaction: all of it is on the disk when this returns, or nothing."""
        return await self._run(self._writer, "BEGIN IMMEDIATE", work)

    async def read(self, work: Callable[[Database], T]) -> T:
        """Do it with what is there at this moment."""
        return await self._run(self._readers, "BEGIN", work)

    async def _run(self, threads: ThreadPoolExecutor, begin: str, work: Callable[[Database], T]) -> T:
        try:
            doing = asyncio.get_running_loop().run_in_executor(threads, self._in_transaction, begin, work)
        except RuntimeError as error:
            raise StoreFailed("The database of documents is closed.") from error
        return await doing

    def _in_transaction(self, begin: str, work: Callable[[Database], T]) -> T:
        try:
            database = self._database()
            database.execute(begin)
            try:
                done = work(database)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except (apsw.Error, OSError) as error:
            raise StoreFailed(f"Documents cannot be kept at the moment: {str(error)[:300]}") from error
        return done

    def _database(self) -> Database:
        """This thread's connection."""
        found: Database | None = getattr(self._own, "database", None)
        if found is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = opened(self.path)
            self._own.database = found
        return found

    async def close(self) -> None:
        """What is being written is finished first."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self._writer, self._readers):
            threads.shutdown()  # with its threads go their connections


def opened(path: Path) -> Database:
    """A connection, with the tables of this version. Raises StoreFailed where a newer one made them."""
    until = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            return _opened(path)
        except apsw.BusyError:  # SQLite itself does not wait where two turn a new file's journal into WAL
            if time.monotonic() > until:
                raise
            time.sleep(AGAIN)


def _opened(path: Path) -> Database:
    database = apsw.Connection(str(path))
    database.set_busy_timeout(PATIENCE)
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.enable_load_extension(False)
    for pragma in PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    if _version(database) < VERSION:
        database.execute("BEGIN IMMEDIATE")
        if _version(database) < VERSION:  # another process may have been faster
            database.execute(TABLES)
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    if _version(database) > VERSION:
        raise StoreFailed("The database of documents was made by a newer version of this server.")
    return database


def _version(database: Database) -> int:
    found: int = database.pragma("user_version")
    return found
