"""A server that is killed takes with it what it has told its guardian of, and nothing else. Without vLLM."""

from __future__ import annotations

import json
import mmap
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.vllm import guardian
from backends.vllm.guardian import SHARED, born, mapped
from tests.running import ROOT, environment

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
# Each line in replaces what it has; each is answered. It has a forked child that knows of nothing.
SERVER = """
import json, os, sys, time
from pathlib import Path
from backends.vllm.guard import GUARD
forked = 0
for line in sys.stdin:
    processes, files = json.loads(line)
    GUARD.note("engine", dict(processes), map(Path, files)) if processes or files else GUARD.forget("engine")
    forked = forked or os.fork()
    if not forked:
        time.sleep(600)
    print(forked, flush=True)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
SLEEPER = "import time; time.sleep(600)"


class Server:
    """Stands in for a real one. `guardian` and `forked` are there once something was noted."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env=environment(PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.guardian = self.forked = 0

    def note(self, processes: dict[int, int], *files: Path) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([list(processes.items()), list(map(str, files))]) + "\n")
        self.process.stdin.flush()
        self.forked = int(self.process.stdout.readline())
        (self.guardian,) = set(children(self.process.pid)) - {self.forked}

    def end(self, *, killed: bool) -> None:
        if killed:
            self.process.kill()
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(10) == (-signal.SIGKILL if killed else 0)
        wait_until(lambda: gone(self.guardian))
        assert not gone(self.forked)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    if started.forked:
        os.kill(started.forked, signal.SIGKILL)
    started.process.kill()
    with started.process:  # closes its pipes
        pass


@pytest.fixture
def start() -> Iterator[Callable[[str], int]]:
    """Start a process that sleeps, in a group of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def one(code: str) -> int:
        started.append(subprocess.Popen([sys.executable, "-c", code], start_new_session=True))
        return started[-1].pid

    yield one
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def area() -> Iterator[Path]:
    path = SHARED / f"openai_proxy_test_{secrets.token_hex(4)}"
    path.write_bytes(bytes(mmap.PAGESIZE))
    yield path
    path.unlink(missing_ok=True)


def test_a_killed_server_leaves_nothing(server: Server, start: Callable[[str], int], area: Path) -> None:
    engine, other = start(PARENT), start(SLEEPER)
    wait_until(lambda: bool(children(engine)))
    (worker,) = children(engine)
    server.note(noted(engine), area)
    server.end(killed=True)
    assert [gone(pid) for pid in (engine, worker, other)] == [True, True, False]
    assert not area.exists()


def test_an_orderly_end_takes_nothing_with_it(server: Server, start: Callable[[str], int], area: Path) -> None:
    engine = start(SLEEPER)
    server.note(noted(engine), area)
    server.note({})
    server.end(killed=False)
    assert not gone(engine)
    assert area.exists()


def test_a_pid_that_is_another_process_now_is_spared(server: Server, start: Callable[[str], int]) -> None:
    engine, other = start(SLEEPER), start(PARENT)
    wait_until(lambda: bool(children(other)))
    server.note({**noted(engine), other: noted(other)[other] - 1})
    server.end(killed=True)
    assert [gone(pid) for pid in (engine, other, *children(other))] == [True, False, False]


def test_memory_that_others_have_mapped_is_spared(server: Server, start: Callable[[str], int], area: Path) -> None:
    server.note({}, area)
    with area.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert area in mapped(os.getpid())
        server.end(killed=True)
    assert area.exists()


def test_files_in_folders_are_no_shared_memory() -> None:
    folder = SHARED / f"openai_proxy_test_{secrets.token_hex(4)}"
    folder.mkdir()
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(mmap.PAGESIZE))
    try:
        with weights.open("r+b") as file, mmap.mmap(file.fileno(), 0):
            assert weights not in mapped(os.getpid())
    finally:
        weights.unlink()
        folder.rmdir()


def test_the_guardian_outlives_signals_and_comes_again(server: Server, start: Callable[[str], int]) -> None:
    first, second = start(SLEEPER), start(SLEEPER)
    server.note(noted(first))
    guardian = server.guardian
    assert os.getsid(guardian) == guardian
    wait_until(lambda: ignores(guardian, signal.SIGTERM))
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: gone(guardian))
    server.note(noted(first) | noted(second))
    assert server.guardian != guardian
    server.end(killed=True)
    assert [gone(pid) for pid in (first, second)] == [True, True]


def test_half_a_line_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(guardian, "end", lambda processes, files: ended.append((processes, list(files))))
    whole = b'{"processes": [[7, 8]], "files": ["/dev/shm/a"]}\n'
    guardian.watch([whole, b'{"processes": [[9, '])
    guardian.watch([])
    assert ended == [({7: 8}, [SHARED / "a"]), ({}, [])]


def noted(pid: int) -> dict[int, int]:
    birth = born(pid)
    assert birth is not None
    return {pid: birth}


def gone(pid: int) -> bool:
    """Or a zombie that waits for whoever takes orphans in."""
    return born(pid) is None


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True)
    return [int(each) for each in listed.stdout.split()]


def ignores(pid: int, number: signal.Signals) -> bool:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
