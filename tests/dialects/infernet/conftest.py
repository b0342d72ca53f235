"""Nodes, and the real client in an environment of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients import python_of
from tests.conftest import servers
from tests.dialects.infernet.calls import CHAT, VECTORS
from tests.running import Running, environment

CLIENT = "infernet-client==1.0.0"
COORDINATOR = "0x2E983A1Ba5e8b38AAAeC4B440B9dDcFBf72E15d1"
KEY = "sk-some-key-that-is-long-enough-for-a-test"
ECHO = f"""
default_model = "echo"
[server]
grace = 0.0
[models.echo]
backend = "echo"
slots = 16
aliases = ["{CHAT}", "{VECTORS}"]
[models.slow]
backend = "echo"
slots = 16
options = {{ delay = 0.05, chunks = 200 }}
[models.broken]
backend = "echo"
options = {{ fail = "late", after = 2 }}
"""
BEHIND_A_PROXY = 'grace = 0.0\ntrusted_proxies = ["127.0.0.1"]\n'
CONTAINERS = (
    ECHO.replace("grace = 0.0\n", BEHIND_A_PROXY)
    + """
[infernet]
networks = ["127.0.0.0/8", "10.1.0.0/16", "10.2.0.1"]
status_networks = ["10.2.0.1"]
[infernet.containers.chat]
kinds = ["chat", "completion"]
image = "registry.example/chat:1"
description = "talks"
[infernet.containers.vectors]
kinds = ["embedding"]
[infernet.containers.voice]
kinds = ["speech"]
[infernet.containers.ears]
kinds = ["transcription"]
[infernet.containers.brush]
kinds = ["image"]
[infernet.containers.any]
model = "broken"
[infernet.containers.inner]
external = false
[infernet.containers.closed]
allowed_ips = ["10.1.2.0/24"]
"""
)

Client = Callable[..., str]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without keys, and with the one container that there is without any configured."""
    with servers(tmp_path_factory.mktemp("node")) as start:
        yield start(ECHO)


@pytest.fixture(scope="session")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with keys and containers, behind a proxy that says where requests come from."""
    with servers(tmp_path_factory.mktemp("walled")) as start:
        yield start(CONTAINERS, path="/health", OPENAI_PROXY_KEYS=KEY)


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter of the client's own environment, which is made once."""
    return python_of(CLIENT)


@pytest.fixture(scope="session")
def client(client_python: Path) -> Client:
    """Run the client's interpreter; what it printed."""

    def run(*words: str, text: str = "", fails: bool = False, **env: str) -> str:
        command = [str(client_python), *words]
        ran = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=60, env=environment(**env), check=False
        )
        assert (ran.returncode != 0) is fails, ran.stderr[-4000:]
        return ran.stderr if fails else ran.stdout

    return run
