"""An engine's comings and goings: what they take, what they give back, and what they leave behind (nothing)."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.vllm.guardian import born
from tests.backends.conftest import ENVIRONMENT, checkpoint
from tests.backends.vllm.conftest import configuration
from tests.backends.vllm.test_server import LOADING, MESSAGES, wait_until
from tests.conftest import servers
from tests.dialects.test_orders import post, quiet, state
from tests.running import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
# Of the front end, in MB: what an interpreter keeps of what it has once had.
KEPT = 80


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = f"""
        [server]
        grace = 0.0
        [timeouts]
        queue = {LOADING}
        [models.echo]
        backend = "echo"
        [models.tiny]
        backend = "vllm"
        model = {json.dumps(checkpoint("tiny-llama"))}
        load = "request"
        engine = {{ dtype = "float32", enforce_eager = true, max_model_len = 512, max_num_seqs = 16 }}
    """
    with servers(tmp_path_factory.mktemp("vllm")) as start:
        yield start(config, path="/health", timeout=30, **ENVIRONMENT)


def tree(server: Running) -> dict[int, str]:
    """All processes below the server, and it: their names."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        names[int(folder.name)] = name
        parents[int(folder.name)] = int(rest.split()[1])
    below = {server.pid}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: names[pid] for pid in below if pid in names}


def engines(server: Running) -> list[int]:
    return [pid for pid, name in tree(server).items() if name.startswith("VLLM")]


def memory(server: Running) -> int:
    """Resident memory of all of them, in MB. What they share is counted for each."""
    pages = 0
    for pid in tree(server):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def shared(server: Running) -> set[Path]:
    """What its engines have in shared memory, as files."""
    found: set[Path] = set()
    for pid in engines(server):
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        found |= {Path(line.split(None, 5)[5]) for line in lines if "/dev/shm/" in line}
    return {path for path in found if path.exists()}


def chat(server: Running) -> int:
    with server.client(timeout=LOADING) as client:
        answer = client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=4)
    assert answer.usage is not None
    return answer.usage.completion_tokens


def test_memory_returns_and_nothing_is_left_behind(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [("before", memory(server))]
    held: list[tuple[int, int, int]] = []
    for number, order in enumerate(("unload", "sleep", "unload")):
        began = time.monotonic()
        assert chat(server) == 4
        figures.append((f"loaded in {time.monotonic() - began:.0f} s", memory(server)))
        assert (state(server, "tiny"), len(engines(server)) > 0) == ("ready", True)
        areas = shared(server)
        assert areas
        began = time.monotonic()
        status, body = post(server, "tiny", order)
        assert (status, body["state"]) == (200, "sleeping" if order == "sleep" else "unloaded")
        figures.append((f"{order} in {time.monotonic() - began:.1f} s", memory(server)))
        assert engines(server) == []
        assert not [path for path in areas if path.exists()]
        held.append(quiet(server))
        assert held[number] == held[0]
    with capsys.disabled():
        print("\nMB of the process tree:", ", ".join(f"{what} {size}" for what, size in figures))
    rested = [size for _, size in figures[2::2]]
    assert rested[-1] - rested[0] < KEPT
    assert all(size < loaded / 2 for size, (_, loaded) in zip(rested, figures[1::2], strict=True))


def test_an_unload_ends_a_load_with_its_processes(server: Running) -> None:
    loading = threading.Thread(target=post, args=(server, "tiny", "load"))
    loading.start()
    wait_until(lambda: bool(engines(server)), LOADING)
    assert post(server, "tiny", "unload")[1]["state"] == "unloaded"
    loading.join(30)
    assert engines(server) == []
    assert chat(server) == 4


def test_a_death_of_the_engine_alone_leaves_no_worker(server: Running) -> None:
    assert chat(server) == 4
    (core,) = (pid for pid, name in tree(server).items() if name.startswith("VLLM::EngineCor"))
    before = engines(server)
    os.kill(core, signal.SIGKILL)
    wait_until(lambda: state(server, "tiny") == "restarting", 2)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in before), 15)


def test_the_end_of_the_server_calls_a_load_off(server: Running) -> None:
    wait_until(lambda: bool(engines(server)), LOADING)
    below = list(tree(server))
    began = time.monotonic()
    assert server.stop(signal.SIGTERM, timeout=30) == 0
    print(f"ended after {time.monotonic() - began:.1f} s")
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below), 5)


def test_a_server_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    engine = {"dtype": "float32", "enforce_eager": True, "max_model_len": 512, "max_num_seqs": 16}
    with servers(tmp_path) as start:
        server = start(configuration({"tiny": ("tiny-llama", engine)}), timeout=LOADING, **ENVIRONMENT)
        assert chat(server) == 4
        below, areas = set(tree(server)) - {server.pid}, shared(server)
        assert len(engines(server)) > 0
        assert areas
        (guardian,) = (pid for pid in below if b"guardian.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
        assert holders(Path(f"/proc/{server.pid}/fd"), guardian, below) == []
        server.process.kill()
        wait_until(lambda: not any(born(pid) for pid in below), 30)
    assert not [path for path in areas if path.exists()]


def holders(descriptors: Path, guardian: int, below: set[int]) -> list[int]:
    """Processes that hold the guardian's pipe beside it and the server."""
    pipe = os.readlink(f"/proc/{guardian}/fd/0")
    assert pipe in [os.readlink(each) for each in descriptors.iterdir()]
    rest = below - {guardian}
    return [pid for pid in rest for each in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(each) == pipe]
