"""What the server tells its guardian (guardian.py), which is there from the first engine on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from backends.vllm.guardian import born

log = logging.getLogger(__name__)

GUARDIAN = Path(__file__).resolve().with_name("guardian.py")


class Guard:
    """All that has to go with the server, by whose it is. Without /proc it does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: dict[object, tuple[dict[int, int], set[Path]]] = {}
        self._guardian: subprocess.Popen[bytes] | None = None

    def note(self, owner: object, processes: Mapping[int, int], files: Iterable[Path]) -> None:
        """What `owner` has now: processes (pid -> when born) and files in shared memory; replaces its last note."""
        notes = (dict(processes), set(files))
        with self._lock:
            if self._notes.get(owner) != notes:
                self._notes[owner] = notes
                self._tell()

    def forget(self, owner: object) -> None:
        """It has nothing any more."""
        with self._lock:
            if self._notes.pop(owner, None) is not None:
                self._tell()

    def _tell(self) -> None:
        if born(os.getpid()) is None:
            return
        processes = [each for noted, _ in self._notes.values() for each in noted.items()]
        files = [str(path) for _, noted in self._notes.values() for path in noted]
        line = json.dumps({"processes": processes, "files": files}).encode() + b"\n"
        try:
            pipe = self._pipe()
            while line:
                line = line[os.write(pipe, line) :]
        except OSError as error:
            log.warning("no guardian: vLLM's processes will outlive a server that is killed: %s", error)

    def _pipe(self) -> int:
        """To the guardian, which is started if it is not there. Raises OSError."""
        if self._guardian is None:
            os.register_at_fork(after_in_child=self._let_go)
        if self._guardian is None or self._guardian.poll() is not None:
            self._guardian = subprocess.Popen(  # noqa: S603 - a file of ours
                [sys.executable, "-I", "-S", str(GUARDIAN)],
                bufsize=0,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C and a signal to the server's group do not reach it
            )
        assert self._guardian.stdin is not None
        return self._guardian.stdin.fileno()

    def _let_go(self) -> None:
        """In a process that was forked: the pipe is to end with the server. What is started anew does not get it."""
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()


GUARD = Guard()
