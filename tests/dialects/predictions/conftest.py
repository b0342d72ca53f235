"""One server for all tests of the dialect, and the real client in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import python_of
from tests.conftest import servers
from tests.dialects.predictions.calls import ALIAS, BARE
from tests.running import Running, environment

CONFIG = f"""
[server]
grace = 0.0
[models.echo]
backend = "echo"
aliases = ["{ALIAS}", "{BARE}"]
[models."org/slow"]
backend = "echo"
options = {{ delay = 0.05, chunks = 40 }}
[models."org/family/one:7b"]
backend = "echo"
slots = 1
options = {{ delay = 0.05, chunks = 40 }}
[models.broken]
backend = "echo"
options = {{ fail = "late", after = 2 }}
[models.shouting]
backend = "echo"
options = {{ text = "a\\u2028b\\rc\\u0085d\\ne f" }}
"""
CLIENT = "replicate==1.0.7"
SCRIPTS = Path(__file__).parent / "scripts"

Script = Callable[..., Any]


@pytest.fixture(scope="session")
def predicting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server."""
    with servers(tmp_path_factory.mktemp("predictions")) as start:
        yield start(CONFIG)


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter of the client's own environment, which is made once."""
    return python_of(CLIENT)


@pytest.fixture
def script(client_python: Path, predicting: Running) -> Script:
    """Run a script with the real client; what it printed as JSON. Its arguments follow the server's address."""

    def run(name: str, *arguments: str, server: Running = predicting) -> Any:
        env = environment(REPLICATE_BASE_URL=server.url, REPLICATE_API_TOKEN="none", REPLICATE_POLL_INTERVAL="0.05")
        words = [str(client_python), str(SCRIPTS / f"{name}.py"), *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    return run
