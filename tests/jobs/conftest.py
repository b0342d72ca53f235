"""Stores for the tests of jobs: each test that wants one runs with all three."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs import postgresql

_databases = itertools.count()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server."""
    if postgresql.programs() is None or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL and asyncpg")
    with postgresql.running() as url:
        yield url


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `jobs.database` of an empty store."""
    if request.param == "memory":
        return "memory"
    if request.param == "sqlite":
        return str(tmp_path / "jobs.db")
    url: str = request.getfixturevalue("postgresql_url")
    return fresh(url)


def fresh(url: str) -> str:
    """A new database in that server."""
    name = f"jobs{next(_databases)}"
    port = url.rpartition(":")[2]
    found = postgresql.programs()
    assert found is not None
    subprocess.run([found / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "jobs", name], check=True, timeout=60)
    return f"{url}/{name}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        metafunc.parametrize("database", ["memory", "sqlite", "postgresql"], indirect=True)
