"""Connections to the database of jobs, and its tables as this version of the server has them.

Sources: https://www.sqlite.org/wal.html, https://docs.sqlalchemy.org/en/21/dialects/sqlite.html (transactions).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from openai_proxy.errors import StoreFailed

# The last file in `migrations/versions`.
HEAD = "0002"
# Seconds that SQLite waits for another process that writes.
PATIENCE = 10.0
# And we for PostgreSQL: to connect, and to answer.
CONNECT, ANSWER = 5.0, 20.0
# Of PostgreSQL's advisory locks: who migrates.
LOCK = 7_274_821_663
READERS = 4


class Engines(NamedTuple):
    """`safe` and `quick` write, one connection each: what the first commits is on the disk, what the second does may be
    lost with the machine, not with the process. In PostgreSQL they are the same. `reading` has several.
    """

    safe: AsyncEngine
    quick: AsyncEngine
    reading: AsyncEngine


def engines(url: str) -> Engines:
    """Nothing is connected. Raises StoreFailed for what is no URL, or where its driver is not installed."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            parsed = parsed.set(drivername="postgresql+asyncpg")
            writing = _postgresql(parsed, 1)
            return Engines(writing, writing, _postgresql(parsed, READERS))
        parsed = parsed.set(drivername="sqlite+aiosqlite")
        return Engines(
            _sqlite(parsed, 1, "BEGIN IMMEDIATE", "FULL"),
            _sqlite(parsed, 1, "BEGIN IMMEDIATE", "NORMAL"),
            _sqlite(parsed, READERS, "BEGIN", "NORMAL"),
        )
    except (SQLAlchemyError, ImportError) as error:
        raise StoreFailed(f"jobs.database: {error}") from error


def _postgresql(url: sa.URL, connections: int) -> AsyncEngine:
    patience = {"timeout": CONNECT, "command_timeout": ANSWER}
    return create_async_engine(
        url, pool_size=connections, max_overflow=0, pool_pre_ping=True, pool_timeout=ANSWER, connect_args=patience
    )


def _sqlite(url: sa.URL, connections: int, begin: str, synchronous: str) -> AsyncEngine:
    """Transactions begin where ours do, and reading does not keep anybody from writing."""
    engine = create_async_engine(url, pool_size=connections, max_overflow=0, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", f"synchronous = {synchronous}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextlib.asynccontextmanager
async def told() -> AsyncGenerator[None, None]:
    """What goes wrong with the database is StoreFailed."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise _failed(error) from error


async def connected(engine: AsyncEngine) -> AsyncConnection:
    """A connection of its pool. Raises StoreFailed: drivers raise what they like where nobody answers them."""
    try:
        return await engine.connect()
    except Exception as error:
        raise _failed(error) from error


@contextlib.asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection, None]:
    """A connection of its pool, for a moment. Raises StoreFailed."""
    connection = await connected(engine)
    async with told():
        try:
            yield connection
        finally:
            await connection.close()


def _failed(error: Exception) -> StoreFailed:
    lines = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
    return StoreFailed(f"Jobs cannot be kept at the moment: {lines[0][:300]}")


async def migrate(writing: AsyncEngine) -> None:
    """Bring the tables to this version. Raises StoreFailed where a newer version of the server made them."""
    async with reading(writing) as connection, connection.begin():
        version = await _version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise StoreFailed("The database of jobs was made by a newer version of this server.")
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        await connection.run_sync(_upgrade)


async def _version(connection: AsyncConnection) -> str | None:
    there = await connection.run_sync(lambda each: sa.inspect(each).has_table("alembic_version"))
    found = await connection.execute(sa.text("SELECT version_num FROM alembic_version")) if there else None
    return None if found is None else found.scalar_one_or_none()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, HEAD)
