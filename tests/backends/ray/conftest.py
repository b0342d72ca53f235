"""A whole server whose models are on the cluster, and a look at the replicas' processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import servers
from tests.running import Running

CONFIG = """
[server]
grace = 0.0
drain = 2.0

[models.many]
backend = "ray"
options = {{ backend = "echo", replicas = 2, cpus = 0.1, address = "{address}" }}

[models.lone]
backend = "ray"
options = {{ backend = "echo", cpus = 0.1, address = "{address}" }}

[models.recording]
backend = "ray"

[models.recording.options]
backend = "tests.backends.ray.recording:Recording"
cpus = 0.1
address = "{address}"
options = {{ file = "{file}" }}

[models.growing]
backend = "ray"

[models.growing.options]
backend = "echo"
max_replicas = 2
target = 2.0
up_after = 0.5
down_after = 1.0
cpus = 0.1
address = "{address}"
"""


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model `recording` writes when its work ends."""
    file = tmp_path_factory.mktemp("record") / "ends"
    file.touch()
    return file


@pytest.fixture(scope="session")
def ray_server(ray_address: str, record: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Four models of echo's, each a deployment of its own."""
    with servers(tmp_path_factory.mktemp("ray")) as start:
        yield start(CONFIG.format(address=ray_address, file=record), timeout=120)


def replicas(model: str) -> list[int]:
    """The processes of a model's replicas."""
    title = f"ray::ServeReplica:openai-proxy-{model}:".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(title):
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return sorted(found)
