"""A server process on a core of its own, and what the kernel says about it. Linux only: it reads /proc."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

URL = re.compile(r"http://127\.0\.0\.1:([1-9]\d*)")
SERVER_CORE, LOAD_CORE = 0, 1
START_SECONDS = 60


class Pinned:
    """A running server; `started` is how many seconds passed until its port was known.

    The port is what the log tells first, unless it is given; `program` is Python unless that is given.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        cores: set[int] | None = None,
        patience: float = START_SECONDS,
        *,
        program: str = sys.executable,
        port: int | None = None,
    ) -> None:
        self.log = log
        self.patience = patience
        self.given = port
        begun = time.monotonic()
        with log.open("wb") as output:
            self.process = subprocess.Popen([program, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if cores:
            os.sched_setaffinity(self.process.pid, cores)
        self.port = self._wait()
        self.started = time.monotonic() - begun

    def _wait(self) -> int:
        end = time.monotonic() + self.patience
        while time.monotonic() < end and self.process.poll() is None:
            port = self._listening()
            if port is not None:
                return port
            time.sleep(0.02)
        self.stop()
        raise SystemExit(f"a server did not start:\n{self.log.read_text()[-2000:]}")

    def _listening(self) -> int | None:
        if self.given is None:
            found = URL.search(self.log.read_text())
            return int(found[1]) if found else None
        with socket.socket() as probe:
            return self.given if probe.connect_ex(("127.0.0.1", self.given)) == 0 else None

    @property
    def proc(self) -> Path:
        return Path("/proc", str(self.process.pid))

    def cpu(self) -> float:
        """Seconds of CPU that all threads have used so far."""
        return sum(int(each.read_text().split()[0]) for each in self.proc.glob("task/*/schedstat")) / 1e9

    def memory(self) -> float:
        """Resident memory in kB."""
        found = re.search(r"VmRSS:\s+(\d+)", (self.proc / "status").read_text())
        return float(found[1]) if found else 0.0

    def memory_together(self) -> float:
        """Memory of it and the processes that it started, in kB; what they share is counted once."""
        return sum(map(_share, _family(self.process.pid)))

    def descriptors(self) -> int:
        return len(list((self.proc / "fd").iterdir()))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _family(pid: int) -> list[int]:
    """A process and all that come from it."""
    try:
        born = " ".join(task.read_text() for task in Path("/proc", str(pid)).glob("task/*/children"))
    except OSError:
        return []
    return [pid, *(one for child in born.split() for one in _family(int(child)))]


def _share(pid: int) -> float:
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path("/proc", str(pid), "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return float(found[1]) if found else 0.0


def free_port() -> int:
    """For a server that does not tell which port it found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def pin_load() -> set[int] | None:
    """Take the core for load, and give the one for servers; None where there is only one core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    os.sched_setaffinity(0, {cores[LOAD_CORE]})
    return {cores[SERVER_CORE]}
