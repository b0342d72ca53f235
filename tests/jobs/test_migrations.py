"""The migrations make the tables that the program uses, on each database."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from openai_proxy import jobs
from openai_proxy.config import JobSettings
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.connections import HEAD
from openai_proxy.jobs.database import Database
from openai_proxy.jobs.opening import opened
from openai_proxy.jobs.tables import metadata


async def migrated(database: str) -> Database:
    """An open store, with the tables of this version."""
    store = opened(JobSettings(database=database))
    if not isinstance(store, Database):
        pytest.skip("memory has no tables")
    await store.open()
    return store


def differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def test_the_migrations_lead_to_the_tables(empty_database: str) -> None:
    async def check() -> None:
        store = await migrated(empty_database)
        assert await store.reading.read(differences) == []
        await store.close()

    asyncio.run(check())


def test_a_database_of_a_newer_version_is_left_alone(empty_database: str) -> None:
    async def check() -> None:
        store = await migrated(empty_database)
        newer = sa.text("UPDATE alembic_version SET version_num = '9999'")
        await store.connections.safe.write([lambda connection: connection.execute(newer)])
        await store.close()
        again = opened(JobSettings(database=empty_database))
        with pytest.raises(StoreFailed, match="newer version"):
            await again.open()
        await again.close()

    asyncio.run(check())


def test_the_last_migration_is_the_one_that_is_wanted() -> None:
    [folder] = jobs.__path__
    assert ScriptDirectory(f"{folder}/migrations").get_heads() == [HEAD]
