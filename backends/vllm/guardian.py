"""The guardian of a server's engines: a small process that ends them when the server was killed and could not.

vLLM's processes would live on with all their memory, and leave files in shared memory. guard.py runs this file by
itself, with the standard library alone, and writes it lines; each tells all that is there. When they end so has the
server, and what is still there is ended too: nothing after an orderly end. All of it is read from /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Where the system shows processes and shared memory.
PROCESSES = Path("/proc")
SHARED = Path("/dev/shm")  # noqa: S108
# How long what was killed may take to go, in seconds: a card's memory is given back first.
LAST = 30.0
LOOK_EVERY = 0.05


def born(pid: int) -> int | None:
    """When a process was started, in the system's ticks: with it a pid is not mistaken for an earlier one's.

    None for one that is gone, is a zombie, or cannot be looked at.
    """
    fields = _fields(pid)
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def mapped(pid: int) -> set[Path]:
    """The shared memory that a process has mapped, as files; none for one that is gone.

    A file in a folder there is none: it is somebody's who keeps files in memory, weights perhaps.
    """
    try:
        lines = os.fsdecode((PROCESSES / str(pid) / "maps").read_bytes()).splitlines()
    except OSError:
        return set()
    names = (line.split(None, 5)[5] for line in lines if f" {SHARED}/" in line)
    return {Path(name) for name in names if not name.endswith(" (deleted)") and Path(name).parent == SHARED}


def end(processes: Mapping[int, int], files: Iterable[Path]) -> None:
    """Kill processes (pid -> when born) with all below them, and remove files that nobody else has mapped. Blocks."""
    doomed = dict(processes)
    last = time.monotonic() + LAST
    while (living := [pid for pid, birth in doomed.items() if born(pid) == birth]) and time.monotonic() < last:
        for pid in _below(living) - doomed.keys():
            if (birth := born(pid)) is not None:
                doomed[pid] = birth
        for pid, birth in doomed.items():
            if born(pid) == birth:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EVERY)
    left = set(files)
    for pid in _all() if left else ():
        left -= mapped(pid) if pid not in doomed else set()
    for path in left:
        with contextlib.suppress(OSError):
            path.unlink()


def watch(lines: Iterable[bytes]) -> None:
    """Read what the server tells until it has ended; the last line may be half of one."""
    told: dict[str, Any] = {"processes": [], "files": []}
    for line in lines:
        if line.endswith(b"\n"):
            told = json.loads(line)
    end(dict(told["processes"]), map(Path, told["files"]))


def _fields(pid: int) -> list[bytes]:
    """Of its stat, those after the name, which may have blanks and brackets: the state, the parent and so on."""
    try:
        return (PROCESSES / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _all() -> list[int]:
    return [int(name) for name in os.listdir(PROCESSES) if name.isdecimal()]


def _below(pids: Iterable[int]) -> set[int]:
    """The children of these, theirs, and so on."""
    parents = {pid: int(fields[1]) for pid in _all() if (fields := _fields(pid))}
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - set(pids)


if __name__ == "__main__":
    # Whoever ends all processes of a service at once ends the server, and this one has to see that happen.
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    watch(sys.stdin.buffer)
