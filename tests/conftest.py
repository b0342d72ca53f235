"""What all tests share: a clean environment and real server processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from tests.running import Running, environment

# A busy machine is no fault of an example's.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ECHO = '[server]\ngrace = 0.0\ndrain = 1.0\n\n[models.echo]\nbackend = "echo"\n'


class Serve(Protocol):
    """Start a server with this TOML text and wait until `path` answers 200 ("": until the port is open)."""

    def __call__(
        self, config: str | None = ..., *arguments: str, path: str = ..., timeout: float = ..., **env: str
    ) -> Running: ...


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> None:
    """Nothing of the developer's own settings reaches a test; loopback is never sent through a proxy."""
    clean = environment(NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")
    os.environ.clear()
    os.environ.update(clean)
    # A run in the background of a script ignores SIGINT, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def servers(folder: Path) -> Iterator[Serve]:
    started: list[Running] = []

    def serve(
        config: str | None = ECHO, *arguments: str, path: str = "/readyz", timeout: float = 30, **env: str
    ) -> Running:
        number = len(started)
        if "grace" not in (config or ""):
            env.setdefault("OPENAI_PROXY_SERVER_GRACE", "0")  # nobody waits for it but the tests of it
        if config is not None:
            file = folder / f"config{number}.toml"
            file.write_text(config)
            arguments = ("--config", str(file), *arguments)
        running = Running(arguments, folder / f"server{number}.log", environment(**env))
        started.append(running)
        return running.wait_for(path, timeout)

    try:
        yield serve
    finally:
        for running in started:
            running.stop(signal.SIGTERM)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers of the test's own; `config=None` takes the embedded default."""
    with servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with the model `echo`, shared by all tests."""
    with servers(tmp_path_factory.mktemp("echo")) as start:
        yield start()


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server with the embedded models, shared by all engine tests; the first start ever fetches their weights."""
    with servers(tmp_path_factory.mktemp("embedded")) as start:
        yield start(None, timeout=540)
