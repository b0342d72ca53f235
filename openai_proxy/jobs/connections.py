"""Connections to the database of jobs, and its tables as this version of the server has them.

Sources: https://www.sqlite.org/wal.html, https://docs.sqlalchemy.org/en/21/dialects/sqlite.html (transactions).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.access import Access, connected, told

# The last file in `migrations/versions`.
HEAD = "0002"
# Seconds that SQLite waits for another process that writes.
PATIENCE = 10.0
# And we for PostgreSQL: to connect, and to answer.
CONNECT, ANSWER = 5.0, 20.0
# Of PostgreSQL's advisory locks: who migrates.
LOCK = 7_274_821_663
READERS = 4


class Connections(NamedTuple):
    """`safe` and `quick` write, one connection each: what the first commits is on the disk, what the second does may be
    lost with the machine, not with the process. In PostgreSQL they are the same. `reading` has several.
    """

    safe: Access
    quick: Access
    reading: Access


def connections(url: str) -> Connections:
    """Nothing is connected. Raises StoreFailed for what is no URL, or where its driver is not installed."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            parsed = parsed.set(drivername="postgresql+asyncpg")
            writing = _postgresql(parsed, pool_size=1, pool_pre_ping=True)
            # Each read is one statement.
            return Connections(writing, writing, _postgresql(parsed, pool_size=READERS, isolation_level="AUTOCOMMIT"))
        parsed = parsed.set(drivername="sqlite")
        return Connections(
            _sqlite(parsed, 1, "FULL", "BEGIN IMMEDIATE"),
            _sqlite(parsed, 1, "NORMAL", "BEGIN IMMEDIATE"),
            _sqlite(parsed, READERS, "NORMAL", None),
        )
    except (SQLAlchemyError, ImportError) as error:
        raise StoreFailed(f"jobs.database: {error}") from error


def _postgresql(url: sa.URL, **options: Any) -> Access:
    patience = {"timeout": CONNECT, "command_timeout": ANSWER}
    engine = create_async_engine(url, max_overflow=0, pool_timeout=ANSWER, connect_args=patience, **options)
    return Access(engine.sync_engine, threads=0)


def _sqlite(url: sa.URL, threads: int, synchronous: str, begin: str | None) -> Access:
    """Transactions begin where ours do, and reading does not keep anybody from writing."""
    patience = {"timeout": PATIENCE, "check_same_thread": False}
    engine = sa.create_engine(url, pool_size=threads, max_overflow=0, connect_args=patience)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", f"synchronous = {synchronous}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if begin is not None:

        @event.listens_for(engine, "begin")
        def begun(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

    return Access(engine, threads)


async def migrate(writing: Access) -> None:
    """Bring the tables to this version. Raises StoreFailed where a newer version of the server made them."""
    await writing.run(partial(_migrate, writing.engine))


def _migrate(engine: sa.Engine) -> None:
    with told(), connected(engine) as connection, connection.begin():
        version = _version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise StoreFailed("The database of jobs was made by a newer version of this server.")
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        _upgrade(connection)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
    version: str | None = found.scalar_one_or_none()
    return version


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, HEAD)
