"""What becomes of jobs when their store fails, or a clock."""

from __future__ import annotations

import contextlib
import importlib.util
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.jobs import postgresql
from tests.jobs.conftest import empty, execute
from tests.jobs.killing import sound
from tests.jobs.office import Office, Refused

LONG = " ".join(["word"] * 30)
DAY = 86_400.0

Hire: TypeAlias = Callable[..., Office]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    """Start processes with jobs in SQLite, or where they are told."""
    offices: list[Office] = []

    def start(database: str | None = None, **settings: Any) -> Office:
        offices.append(Office(database or str(tmp_path / "jobs.db"), tmp_path, **{"lease": 3.0, **settings}))
        return offices[-1]

    yield start
    for office in offices:
        office.stop()


@contextmanager
def calm(office: Office) -> Iterator[None]:
    """Meanwhile the process is neither busy nor loud."""
    began, (before, lines) = time.monotonic(), office.ask("figures")
    yield
    took, (after, more) = time.monotonic() - began, office.ask("figures")
    assert after - before < 0.1 + took / 4
    assert len(more) - len(lines) <= 3, more[len(lines) :]


def check_outage(office: Office, fail: Callable[[], None], mend: Callable[[], None]) -> None:
    """What runs goes on and is kept when that can be; nothing new is promised meanwhile."""
    done = office.ask("submit", "one two")
    assert office.ask("wait", done).state == "succeeded"
    runs = [office.ask("submit", LONG, delay=0.02) for _ in range(2)]
    while office.ask("running") < 2:
        pass
    fail()
    with calm(office):
        for key in (None, "key"):
            began = time.monotonic()
            with pytest.raises(Refused, match="StoreFailed"):
                office.ask("submit", "one", key=key)
            assert time.monotonic() - began < 1.0
        while office.ask("running"):
            time.sleep(0.05)
        time.sleep(0.5)
        assert not office.ask("get", runs[0]).ended
    mend()
    for id in runs:
        job = office.ask("wait", id)
        assert (job.state, job.attempt) == ("succeeded", 1)
        assert office.ask("text", id) == LONG
        assert [number for number, _, _ in office.ask("follow", id)] == list(range(1, job.events + 1))
    after = office.ask("submit", "one", key="key")
    assert office.ask("wait", after).state == "succeeded"
    assert {job.id: job.state for _, job in office.ask("page")} == dict.fromkeys([done, *runs, after], "succeeded")


def test_a_disk_that_is_full(hire: Hire, tmp_path: Path) -> None:
    office = hire()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    check_outage(
        office,
        lambda: resource.prlimit(office.pid, resource.RLIMIT_FSIZE, (1, most)) and None,
        lambda: resource.prlimit(office.pid, resource.RLIMIT_FSIZE, (most, most)) and None,
    )
    office.stop()
    sound(str(tmp_path / "jobs.db"))


def test_a_database_server_that_is_stopped(hire: Hire) -> None:
    if postgresql.programs() is None or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL and asyncpg")
    with postgresql.server() as server:
        office = hire(empty(server.url))
        check_outage(office, server.stop, server.start)
        office.stop()


def test_a_database_server_that_takes_no_writes_for_a_while(hire: Hire, postgresql_url: str) -> None:
    """As one does that was the second, before it is the first. Its sessions stay as they began."""
    database = empty(postgresql_url)
    name = database.rpartition("/")[2]

    def turn(how: str) -> None:
        end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        execute(f"{postgresql_url}/postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = {how}", end)

    office = hire(database)
    check_outage(office, lambda: turn("on"), lambda: turn("off"))
    office.stop()


def test_a_database_server_that_comes_later(hire: Hire) -> None:
    if postgresql.programs() is None or importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL and asyncpg")
    with postgresql.server() as server:
        database = empty(server.url)
        first = hire(database)
        id = first.ask("submit", LONG, delay=0.02)
        first.stop()
        server.stop()
        second = hire(database)
        with pytest.raises(Refused, match="StoreFailed"):
            second.ask("get", id)
        server.start()
        end = time.monotonic() + 10
        # Nobody asks for it.
        while second.ask("running") == 0:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert second.ask("wait", id).state == "succeeded"
        second.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="as root it needs Linux's capabilities")
def test_a_database_that_may_only_be_read(hire: Hire, tmp_path: Path) -> None:
    first = hire()
    id = first.ask("submit", LONG, delay=0.02)
    first.stop()
    database = tmp_path / "jobs.db"
    database.chmod(0o444)
    tmp_path.chmod(0o555)
    office = hire()
    office.ask("obey")
    with calm(office):
        with pytest.raises(Refused, match="StoreFailed"):
            office.ask("submit", "one")
        with contextlib.suppress(Refused):  # with what SQLite has beside its file it can be read
            office.ask("get", id)
        time.sleep(0.5)
    tmp_path.chmod(0o755)
    database.chmod(0o644)
    assert office.ask("wait", id).state == "succeeded"
    assert office.ask("wait", office.ask("submit", "one")).state == "succeeded"


def test_a_file_that_is_no_database(hire: Hire, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"no database " * 1000)
    office = hire()
    with pytest.raises(Refused, match="StoreFailed"):
        office.ask("submit", "one")
    assert (tmp_path / "jobs.db").read_bytes() == b"no database " * 1000


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set(hire: Hire, tmp_path: Path, jump: float) -> None:
    works, watches = hire(lease=1.5), hire(lease=1.5)
    watches.ask("open")
    done = works.ask("submit", "one two")
    assert works.ask("wait", done).state == "succeeded"
    ids = [works.ask("submit", " ".join(["word"] * 100), delay=0.02) for _ in range(4)]
    works.ask("jump", jump)
    watches.ask("jump", jump)
    for office in (works, watches):
        office.ask("sweep")
    for id in ids:
        job = watches.ask("wait", id)
        assert (job.state, job.attempt) == ("succeeded", 1)
        assert (job.finished or 0.0) >= (job.started or 0.0)
    watches.ask("sweep")
    assert {job.id for _, job in watches.ask("page")} == {done, *ids}


def test_a_clock_that_was_set_back_while_nobody_worked(hire: Hire, tmp_path: Path) -> None:
    first = hire(lease=1.5)
    id = first.ask("submit", LONG, delay=0.02)
    first.kill()
    second = hire(lease=1.5)
    second.ask("jump", -DAY)
    assert second.ask("wait", id, 10.0).state == "succeeded"


def test_a_machine_that_was_started_anew(hire: Hire, tmp_path: Path) -> None:
    """Then the clock of leases counts from 0."""
    first = hire(lease=1.5)
    id = first.ask("submit", LONG, delay=0.02)
    first.kill()
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("UPDATE jobs SET leased = leased + 1e6")
    connection.close()
    assert hire(lease=1.5).ask("wait", id, 10.0).state == "succeeded"
