"""Stores for the tests of jobs: each test that wants one runs with all three."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_proxy.jobs.connections import connections, migrate
from tests.jobs import postgresql

STORES = ("memory", "sqlite", "postgresql")
MADE = "made"
# What processes that were killed began to write comes to nothing.
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
CLEAN = (f"SELECT pg_terminate_backend(pid, 5000) {OTHERS}", "DELETE FROM jobs", "DELETE FROM errands")
_databases = itertools.count()
_made: set[str] = set()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server."""
    if postgresql.programs() is None or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL and asyncpg")
    with postgresql.running() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without jobs, with its tables."""
    file = tmp_path_factory.mktemp("made") / "jobs.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `jobs.database` of a store without jobs: with its tables, as making them takes longer than a test."""
    if request.param == "sqlite":
        return str(shutil.copy(request.getfixturevalue("sqlite_file"), tmp_path / "jobs.db"))
    return fresh(request.getfixturevalue("postgresql_url")) if request.param == "postgresql" else "memory"


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same without any tables."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.db")
    return empty(request.getfixturevalue("postgresql_url")) if request.param == "postgresql" else "memory"


def fresh(url: str) -> str:
    """A database in that server with its tables, always the same one: a new one would be a thousand files."""
    database = f"{url}/{MADE}"
    if url not in _made:
        execute(f"{url}/postgres", f"CREATE DATABASE {MADE}")
        _migrate(database)
        _made.add(url)
    execute(database, *CLEAN)
    return database


def empty(url: str) -> str:
    """A new database in that server, without tables."""
    name = f"jobs{next(_databases)}"
    execute(f"{url}/postgres", f"CREATE DATABASE {name}")
    return f"{url}/{name}"


def execute(url: str, *statements: str) -> None:
    """Have a PostgreSQL server do this."""

    async def run() -> None:
        made = connections(url)
        await made.reading.read(lambda connection: [connection.exec_driver_sql(each) for each in statements])
        await made.reading.close()

    asyncio.run(run())


def _migrate(url: str) -> None:
    async def make() -> None:
        made = connections(url)
        await migrate(made.safe)
        for access in made:
            await access.close()

    asyncio.run(make())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in ("database", "empty_database"):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, STORES, indirect=True)
