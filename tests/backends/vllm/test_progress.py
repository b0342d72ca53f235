"""How far a load is: a download while it goes on, and the steps that the engine's processes take."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.vllm import compat, progress

STEP, NOTE = next(iter(compat.STEPS.items()))
Followed = Callable[[Path, list[str]], Awaitable[None]]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


def follow(blobs: Path | None, work: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `work` with the file for steps and the notes so far."""
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.01)
    told: list[str] = []

    async def followed() -> None:
        async with progress.followed(blobs, told.append) as steps:
            await work(steps, told)
        assert not steps.exists()

    asyncio.run(followed())


def test_only_a_download_that_grows_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(steps: Path, told: list[str]) -> None:
        await asyncio.sleep(0.05)
        assert told == []
        (tmp_path / "new.incomplete").write_bytes(b"x")
        await until(lambda: len(told) == 2)
        assert told == ["downloading, 0.0 GB in unfinished files", ""]

    (tmp_path / "old.incomplete").write_bytes(b"left behind")
    follow(tmp_path, work, monkeypatch)


@pytest.mark.parametrize("blobs", [None, Path("/none")])
def test_each_step_is_told_once(blobs: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(steps: Path, told: list[str]) -> None:
        steps.write_text("loading\n")
        await until(lambda: told == ["loading"])
        steps.write_text("loading\nloading\n")
        await asyncio.sleep(0.05)
        steps.write_text("loading\nloading\ncompiling\n")
        await until(lambda: len(told) == 2)
        assert told == ["loading", "compiling"]

    follow(blobs, work, monkeypatch)


def write(level: int, name: str, function: str) -> None:
    logger = logging.getLogger(name)
    logger.handle(logger.makeRecord(name, level, "file", 1, "the message", (), None, function))


class Kept(logging.Handler):
    """Notes whose records reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.name)


@pytest.fixture
def settings() -> Iterator[dict[str, Any]]:
    """The log as the engine's processes have it, and what says so."""
    read: dict[str, Any] = json.loads(compat.LEVELS.read_text())
    loggers = [logging.getLogger(name) for name in read["loggers"]]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    logging.config.dictConfig(read)
    yield read
    for logger, level, handlers, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_steps_are_read_from_the_log(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    monkeypatch.setattr(logging.getLogger(), "handlers", [kept])
    steps = tmp_path / "steps"
    steps.touch()
    name, function = STEP.split(":")
    before = dict(os.environ)
    with progress.told_by_processes(steps):
        write(logging.INFO, name, function)
        write(logging.INFO, name, "another")
        write(logging.WARNING, name, "another")
        assert steps.read_text() == f"{NOTE}\n"
        steps.unlink()
        write(logging.INFO, name, function)
        assert not steps.exists()
    write(logging.INFO, name, function)
    assert kept.names == [name]
    assert dict(os.environ) == before


def test_the_modules_that_tell_of_steps_may_speak(settings: dict[str, Any]) -> None:
    speaking = {name for name, each in settings["loggers"].items() if each.get("handlers") == ["steps"]}
    assert speaking == {step.split(":")[0] for step in compat.STEPS}


@pytest.mark.vllm
def test_where_files_arrive(tmp_path: Path) -> None:
    assert progress.blobs("org/name", {"download_dir": str(tmp_path)}) == tmp_path / "models--org--name" / "blobs"
    assert progress.blobs("org/name", {}).parts[-2:] == ("models--org--name", "blobs")
