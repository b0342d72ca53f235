"""Servers for all tests of the dialect, and the real clients in environments of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts.people import ALICE, BOB, book
from tests.clients import python_of
from tests.conftest import servers
from tests.dialects.gradio.calling import Below, Caller, Keyed
from tests.running import environment

OPEN = """
[server]
grace = 0.0
drain = 1.0
[jobs]
database = "memory"
[gradio]
events = 8
[timeouts]
ping = 0.3
[models.echo]
backend = "echo"
[models.slow]
backend = "echo"
slots = 1
options = { delay = 0.02, chunks = 25, size = 4 }
[models.stalled]
backend = "echo"
slots = 1
options = { stall = true, after = 2, chunks = 20, size = 4 }
[models.broken]
backend = "echo"
options = { fail = "late", after = 2 }
"""
LOCKED = """
[server]
grace = 0.0
[jobs]
database = "memory"
[models.echo]
backend = "echo"
"""
SCRIPTS = Path(__file__).parent / "scripts"
CLIENTS = ("2.7.2", "1.0.2", "0.6.1")

Script = Callable[..., Any]


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A server for everybody."""
    with servers(tmp_path_factory.mktemp("gradio")) as start:
        yield Caller(start(OPEN))


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A server with keys."""
    with servers(tmp_path_factory.mktemp("gradio-keys")) as start:
        keys = f"alice={Keyed.alice},bob={Keyed.bob}"
        yield Keyed(start(LOCKED, path="/livez", OPENAI_PROXY_KEYS=keys))


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A server with keys and room for few sessions."""
    more = '[gradio]\nsessions = 10\nkey_sessions = 3\nevents = 2\n[models.stalled]\nbackend = "echo"\n'
    with servers(tmp_path_factory.mktemp("gradio-crowded")) as start:
        keys = f"alice={Keyed.alice},bob={Keyed.bob}"
        yield Keyed(start(f"{LOCKED}{more}options = {{ stall = true }}", path="/livez", OPENAI_PROXY_KEYS=keys))


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A server where everybody needs an account; logins end when they were not used for a second."""
    folder = tmp_path_factory.mktemp("gradio-accounts")
    accounts = f'\n[accounts]\nfile = "{book(folder / "accounts", ALICE, BOB)}"\n[gradio]\nlogin_idle = 1.2\n'
    below = f'[protocols]\ngradio = "{Below.base}"\n[models.mirror]\nbackend = "tests.dialects.openai.mirror:Mirror"\n'
    with servers(folder) as start:
        yield Below(start(LOCKED + accounts + below, path="/livez"))


def run_script(version: str, name: str, caller: Caller, *arguments: str) -> Any:
    """Run a script with that version of the client; what it printed as JSON. Its arguments follow the address."""
    env = environment(HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    words = [
        str(python_of(f"gradio_client=={version}")),
        "-W",
        "ignore",
        str(SCRIPTS / f"{name}.py"),
        caller.server.url + caller.base,
    ]
    done = subprocess.run([*words, *arguments], capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)
