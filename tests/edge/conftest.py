"""Servers for the tests of the listener."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.raw import ECHO, Listen, Listener


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Start a server with these settings: the lines of [server] first, then other tables."""
    started: list[Listener] = []

    def start(settings: str = "", *arguments: str, **options: Any) -> Listener:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        defaults = "".join(line for line in ("port = 0\n", "grace = 0.0\n") if line.split()[0] not in settings)
        settings = "[server]\n" + defaults + settings.removeprefix("[server]\n")
        listener = Listener(folder, f"{settings}\n{ECHO}", *arguments, **options)
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop()


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """One server with short timers, shared by the tests of a file."""
    server = "[server]\nport = 0\ngrace = 0.0\nkeep_alive = 0.4\n"
    settings = f"{server}[timeouts]\nhead = 0.3\nsend = 0.5\nbody_first = 1.0\n"
    started = Listener(tmp_path_factory.mktemp("listener"), settings + ECHO)
    yield started
    started.stop()
