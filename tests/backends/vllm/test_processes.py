"""An engine's end takes its own processes with it, and no others."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import pytest

from backends.vllm.guardian import SHARED
from backends.vllm.processes import NOTE_EVERY, Processes
from tests.running import ROOT

pytestmark = pytest.mark.vllm  # they need psutil, which comes with vLLM
SPAWNED = multiprocessing.get_context("spawn")


def engine(area: str) -> None:
    """As an engine's process: with a worker, and with shared memory that it maps."""
    memory = SharedMemory(area)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    content(memory)[0] = 1
    time.sleep(600)


def content(memory: SharedMemory) -> memoryview[int]:
    assert memory.buf is not None
    return memory.buf


@pytest.fixture
def built() -> Iterator[Callable[[], tuple[Processes, Any, SharedMemory]]]:
    """Build engines one after the other."""
    areas, engines = [], []

    def build() -> tuple[Processes, Any, SharedMemory]:
        processes = Processes()
        processes.begin()
        areas.append(memory := SharedMemory(create=True, size=16))
        started = SPAWNED.Process(target=engine, args=(memory.name,))
        started.start()
        engines.append(started)
        end = time.monotonic() + 60
        while content(memory)[0] == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        return processes, started, memory

    yield build
    for memory in areas:
        memory.close()
        if (SHARED / memory.name).exists():
            memory.unlink()
    for left in engines:  # and not the engines that other tests share
        left.kill()
        left.join()


def test_the_end_of_one_leaves_the_other(built: Callable[[], tuple[Processes, Any, SharedMemory]]) -> None:
    first, one, area = built()
    first.complete()
    second, other, another = built()
    second.complete()
    first.end(lambda seconds: None)
    assert (one.is_alive(), other.is_alive()) == (False, True)
    assert ((SHARED / area.name).exists(), (SHARED / another.name).exists()) == (False, True)
    second.end(lambda seconds: other.terminate())
    assert not other.is_alive()


def test_one_that_is_being_built_is_killed_with_its_worker(
    built: Callable[[], tuple[Processes, Any, SharedMemory]],
) -> None:
    processes, one, area = built()
    workers = children(one.pid)
    assert len(workers) == 1
    processes.kill()
    one.join(5)
    assert not one.is_alive()
    assert not (SHARED / area.name).exists()
    end = time.monotonic() + 5
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_death_leaves_no_worker_once_it_is_ended(
    built: Callable[[], tuple[Processes, Any, SharedMemory]],
) -> None:
    processes, one, _ = built()
    processes.complete()
    workers = children(one.pid)
    one.kill()
    one.join(5)
    processes.end(lambda seconds: None)
    assert not any(alive(pid) for pid in workers)


def test_a_server_that_is_killed_in_a_load_leaves_nothing() -> None:
    script = "from tests.backends.vllm.test_processes import build_forever; build_forever()"
    server = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    one, worker, name = server.stdout.readline().split()
    area = SHARED / name
    assert (alive(int(one)), alive(int(worker)), area.exists()) == (True, True, True)
    server.kill()
    server.communicate()
    end = time.monotonic() + 20
    while alive(int(one)) or alive(int(worker)) or area.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def build_forever() -> None:
    """As a server whose engine does not become ready: says what it has when the guardian knows of it."""
    processes = Processes()
    processes.begin()
    with processes.noted():
        memory = SharedMemory(create=True, size=16)
        resource_tracker.unregister(f"/{memory.name}", "shared_memory")  # it would remove it too
        started = SPAWNED.Process(target=engine, args=(memory.name,))
        started.start()
        while content(memory)[0] == 0:
            time.sleep(0.01)
        time.sleep(2 * NOTE_EVERY)
        print(started.pid, *children(started.pid or 0), memory.name, flush=True)
        time.sleep(600)


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(each) for each in listed.stdout.split()]


def alive(pid: int) -> bool:
    """Not gone, nor a zombie that waits for whoever takes orphans in."""
    listed = subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True, check=False)
    return listed.stdout.strip()[:1] not in ("", "Z")
