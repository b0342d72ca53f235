"""Who the children of a process are, and what they may do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path


def children(of: int) -> set[int]:
    """The processes that this one has and that are not dead."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == of and state != "Z":
                found.add(int(path.parent.name))
    return found


def spares(of: int) -> set[int]:
    """Those of them that have no task, and so no limit yet."""
    return {each for each in children(of) if limit(each, "Max file size") == "unlimited"}


def limit(process: int, name: str) -> str:
    text = Path(f"/proc/{process}/limits").read_text()
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return line.removeprefix(name).split()[0]


def soon(happens: Callable[[], bool]) -> None:
    """Waits until it does."""
    until = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.01)
