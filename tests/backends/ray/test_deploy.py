"""`openai-proxy ray`: models and server come onto the cluster, come back when they die, and leave it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.backends.ray.conftest import replicas
from tests.backends.ray.test_server import HELLO, until
from tests.running import ROOT, environment

CONFIG = """
[server]
port = {port}
grace = 0.0
drain = 2.0

[models.deployed]
backend = "ray"
options = {{ backend = "echo", cpus = 0.1 }}

[models.inside]
backend = "echo"
"""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "openai_proxy", "ray", *arguments]
    return subprocess.run(call, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def deployed(ray_address: str, port: int, tmp_path: Path) -> Iterator[str]:
    """The address of the server on the cluster."""
    file = tmp_path / "ray.toml"
    file.write_text(CONFIG.format(port=port))
    done = command("deploy", str(file), "--address", ray_address)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "model deployed: ready" in done.stdout
        yield f"http://127.0.0.1:{port}"
    finally:
        command("delete", "--address", ray_address)


def answers(client: openai.OpenAI, model: str) -> bool:
    try:
        answer = client.chat.completions.create(model=model, messages=HELLO)
    except (openai.APIConnectionError, openai.InternalServerError):
        return False
    return answer.choices[0].message.content == "one two three"


@pytest.mark.ray
def test_models_and_server_live_on_the_cluster(deployed: str, ray_address: str) -> None:
    with openai.OpenAI(base_url=f"{deployed}/v1", api_key="none", max_retries=0) as client:
        until(lambda: answers(client, "deployed"))
        assert answers(client, "inside")
        [engine] = replicas("deployed")
        [server] = servers()
        os.kill(server, signal.SIGKILL)
        until(lambda: servers() not in ([server], []))
        until(lambda: answers(client, "deployed"))
    assert replicas("deployed") == [engine]
    done = command("delete", "--address", ray_address)
    assert done.stdout.count("deleted openai-proxy-") == 2
    assert servers() == replicas("deployed") == []
    assert command("delete", "--address", ray_address).stdout == "nothing was deployed\n"


@pytest.mark.ray
def test_a_killed_actor_leaves_no_server_behind(deployed: str) -> None:
    [server] = servers()
    parent = int(Path(f"/proc/{server}/stat").read_text().split()[3])
    os.kill(parent, signal.SIGKILL)
    until(lambda: servers() not in ([server], []))
    with openai.OpenAI(base_url=f"{deployed}/v1", api_key="none", max_retries=0) as client:
        until(lambda: answers(client, "deployed"))


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ("port = 0", "server.port must not be 0"),
        ('port = 8000\nhost = "0.0.0.0"', "refusing to listen on 0.0.0.0 without an API key"),
        ("prt = 1", "server.prt is not a setting"),
    ],
)
def test_what_cannot_serve_there_is_refused_before_anything_starts(tmp_path: Path, server: str, sentence: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(f'[server]\n{server}\n[models.m]\nbackend = "echo"\n')
    done = command("deploy", str(file))
    assert done.returncode == 2
    assert sentence in done.stderr


def servers() -> list[int]:
    """The processes of servers that Ray's actors started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"openai_proxy\0serve\0--config\0openai-proxy.toml" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found
