"""Ids that no job has, asked for in every protocol of a server whose jobs are in PostgreSQL."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.conftest import servers
from tests.dialects.openai.local import ask
from tests.jobs import postgresql
from tests.running import Running


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server."""
    if postgresql.programs() is None or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL and asyncpg")
    with postgresql.running() as url, servers(tmp_path_factory.mktemp("ids")) as start:
        yield start(f'[models.echo]\nbackend = "echo"\n[jobs]\ndatabase = "{url}/postgres"\n')


@pytest.mark.parametrize("id", ["%00", "a%00b", "%F0%9F%98%80", "x" * 3000, "%27"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/predictions/{}", 404),
        ("/v1/predictions/{}/stream", 404),
        ("/echo/progress?job_id={}", 402),
        ("/api/jobs?id={}", 200),
        ("/admin/jobs/{}", 404),
        ("/admin/jobs/{}/events", 404),
    ],
)
def test_an_id_of_no_job(sharing: Running, path: str, id: str, status: int) -> None:
    """A NUL, which PostgreSQL refuses, made every read fail that was under way."""
    assert ask(sharing.port, "GET", path.format(id), None).status == status
