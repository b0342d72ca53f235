"""What is checked of the sections `[jobs]` and `[protocols]`, and that no password is shown."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.configure import ConfigError, read
from tests.cli.terminal import here

ECHO = '[models.echo]\nbackend = "echo"\n'
ONLY = 'only a SQLite file, "postgresql://USER@HOST/NAME" and "memory" are taken'
NO_ADDRESS = 'this is no address like "postgresql://USER@HOST/NAME"'
OTHERWISE = "leave it out for SQLite, or name a database"
OWN = "is below a path of the server's own"


def problems(folder: Path, text: str) -> list[str]:
    file = folder / "file.toml"
    file.write_text(f"{text}\n{ECHO}")
    try:
        read(file, {}, {})
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('jobs.database = "mysql://ann:secret@db/jobs"', f"jobs.database: {ONLY}"),
        ('jobs.database = "sqlite:///"', f"jobs.database: {ONLY}"),
        ('jobs.database = "sqlite://"', f"jobs.database: {ONLY}"),
        ('jobs.database = ":memory:"', f"jobs.database: {ONLY}"),
        ('jobs.database = "postgresql://ann:secret@db:port/jobs"', f"jobs.database: {NO_ADDRESS}"),
        ('jobs.database = "FOLDER"', "jobs.database: FOLDER is a folder, not a file"),
        ('jobs.database = "FOLDER/a.file/jobs.db"', "jobs.database: FOLDER/a.file is a file, not a folder"),
        ('jobs.database = "a\\u0000b"', 'jobs.database: "a\\u0000b" cannot name a file'),
        ('jobs.home = "FOLDER/a.file"', "jobs.home: FOLDER/a.file is a file, not a folder"),
        ('jobs.files = "FOLDER/a.file/below"', "jobs.files: FOLDER/a.file is a file, not a folder"),
        ('jobs.files = "nowhere://ann:secret@x"', 'jobs.files: nothing is known of addresses that begin with "nowhere://"'),
        (
            'jobs.database = "memory"\nserver.workers = 2',
            f"jobs.database: 2 workers cannot share jobs in the memory of one; {OTHERWISE}",
        ),
        ('jobs.queued = 0', "jobs.queued must be a whole number from 1, not 0"),
        ('protocols.aime = "/admin/aime"', f'protocols.aime: "/admin/aime" {OWN}'),
        ('protocols.predictions = "/v1"', f'protocols.predictions: "/v1" {OWN}'),
        ('protocols.protocol = true', "protocols.protocol is not a setting"),
    ],
)  # fmt: skip
def test_one_problem(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.file").touch()
    text, message = (each.replace("FOLDER", str(tmp_path)) for each in (text, message))
    assert problems(tmp_path, text) == [message]


@pytest.mark.parametrize("place", ["replicate", "/a b", "/", "/a/", ""])
def test_a_place_of_a_protocol_is_a_path(tmp_path: Path, place: str) -> None:
    [problem] = problems(tmp_path, f'protocols.aime = "{place}"')
    assert problem.startswith("protocols.aime must be ")


@pytest.mark.parametrize(
    "text",
    [
        'jobs.database = "memory"',
        'jobs.database = "FOLDER/new/jobs.db"',
        'jobs.database = "sqlite:///FOLDER/jobs.db"',
        'jobs.home = "FOLDER/new"\njobs.files = "FOLDER/other"',
        'jobs.files = "memory://bucket/prefix"',
        'protocols.aime = "/aime"\nprotocols.infernet = false\nprotocols.predictions = "/v1beta"',
        "server.workers = 2",
    ],
)
def test_what_can_be(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text.replace("FOLDER", str(tmp_path))) == []
    assert [file.name for file in tmp_path.iterdir()] == ["file.toml"], "a check makes nothing"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    told = f"nothing can be written into {tmp_path}"
    assert problems(tmp_path, f'jobs.home = "{tmp_path}/new"') == [f"jobs.home: {told}"]
    assert problems(tmp_path, f'jobs.database = "{tmp_path}/jobs.db"') == [f"jobs.database: {told}"]


def test_a_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "asyncpg" else there(name))
    assert problems(tmp_path, 'jobs.database = "postgresql://ann@db/jobs"') == [
        "jobs.database: PostgreSQL needs the package asyncpg: pip install 'openai-proxy[postgresql]'"
    ]

    def missing(scheme: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(importlib.import_module("fsspec.registry"), "get_filesystem_class", missing)
    assert problems(tmp_path, 'jobs.files = "s3://bucket"') == [
        "jobs.files: it needs a package: pip install 'openai-proxy[s3]'"
    ]


@pytest.mark.skipif(importlib.util.find_spec("asyncpg") is None, reason="needs asyncpg")
def test_check_tells_where_jobs_are_but_no_password(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text(f'jobs.database = "postgresql://ann:sec@ret@db/jobs?password=hidden&ssl=require"\n{ECHO}')
    assert (
        "jobs: in postgresql://ann:***@db/jobs?password=***&ssl=require\n"
        in here("check", "--config", str(file)).stdout
    )
    told = json.loads(here("check", "--config", str(file), "--json").stdout)
    assert told["config"]["jobs"]["database"] == "postgresql://ann:***@db/jobs?password=***&ssl=require"
    for database, said in (("memory", "in memory, gone with the process"), (f"{tmp_path}/j.db", f"in {tmp_path}/j.db")):
        assert f"jobs: {said}\n" in here("check", "--config", str(file), OPENAI_PROXY_JOBS_DATABASE=database).stdout
