"""What stands between a server and a program that it started: `python -m backends.remote.warden`.

One line of JSON on standard input says what to run. The program ends when standard input does, with all that it
started, which is so when the server closes it or dies in any way; and this process ends when the program has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import msgspec
from msgspec import Struct

# Seconds that a program may take to end by itself: less than this process gets (backends/process.py).
GRACE = 1.5


class Run(Struct, frozen=True):
    """A program with its arguments, and what its environment has beside ours."""

    command: tuple[str, ...]
    environment: dict[str, str] = {}


class Started(Struct, frozen=True):
    """Its process; `error` is empty if there is one."""

    pid: int = 0
    error: str = ""


def main() -> None:
    # Whoever ends all processes of a service at once ends the server, and this one has to see that happen.
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    run = msgspec.json.decode(sys.stdin.buffer.readline(), type=Run)
    try:
        program = subprocess.Popen(  # noqa: S603 - the operator's own
            run.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **run.environment},
        )
    except (OSError, ValueError) as error:
        _tell(Started(error=str(error)))
        return
    _tell(Started(program.pid))
    threading.Thread(target=_until_told, args=(program,), daemon=True).start()
    program.wait()
    _signal(program, signal.SIGKILL)  # what it started


def _tell(started: Started) -> None:
    with contextlib.suppress(BrokenPipeError):  # the server is gone, which standard input tells as well
        os.write(1, msgspec.json.encode(started) + b"\n")


def _until_told(program: subprocess.Popen[bytes]) -> None:
    while sys.stdin.buffer.read(65536):
        pass
    _signal(program, signal.SIGTERM)
    try:
        program.wait(GRACE)
    except subprocess.TimeoutExpired:
        _signal(program, signal.SIGKILL)


def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To its whole session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, number)


if __name__ == "__main__":
    main()
