"""A person at a terminal: a process on a pseudo-terminal, keys to press and a screen to read."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from openai_proxy.__main__ import main
from tests.running import ROOT, environment

ROWS, COLUMNS = 30, 90
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>78]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r")
CTRL_C, CTRL_D, UP, ALT_ENTER = "\x03", "\x04", "\x1b[A", "\x1b\r"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "openai_proxy", *arguments]


def run(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal."""
    return subprocess.run(
        command(*arguments), input=stdin, capture_output=True, text=True, cwd=ROOT, env=environment(**env), timeout=60
    )


def here(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """What `run` does, within this process: it saves the start of an interpreter."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        errors = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(contextlib.chdir(ROOT))
        stack.enter_context(mock.patch.object(sys, "stdin", io.StringIO(stdin)))
        stack.enter_context(mock.patch.dict(os.environ, environment(**env), clear=True))
        try:
            code = main(arguments)
        except SystemExit as end_of_parser:
            code = int(end_of_parser.code or 0)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


class Terminal:
    """`output` is everything that was written, raw; `text` the same without escape sequences."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.output = ""
        self.seen = 0

    @property
    def text(self) -> str:
        return CONTROL.sub("", self.output)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        self.press(line)
        self.wait_for(re.escape(line[-5:]))
        self.press("\r")

    def wait_for(self, pattern: str, timeout: float = 20) -> str:
        """Read until what came since the last match matches; the match."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if found := re.compile(pattern, re.DOTALL).search(self.text, self.seen):
                self.seen = found.end()
                return found[0]
            self.read(0.1)
        raise AssertionError(f"{pattern!r} did not appear after:\n{self.text[self.seen :]}\n-- all:\n{self.text}")

    def wait(self, timeout: float = 20) -> int:
        """The exit code, once the process has ended; its output is read to the end."""
        end = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait(0.1)

    def read(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        with contextlib.suppress(OSError):  # what Linux says when the other side has closed
            data = os.read(self.master, 65536)
            self.output += data.decode(errors="replace")
            return bool(data)
        return False


@contextmanager
def terminal(*arguments: str, stdin: Path | None = None, **env: str) -> Iterator[Terminal]:
    """A command on a terminal of 30 rows and 90 columns; `stdin` is a file that is piped in."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, master)
        source = stack.enter_context(stdin.open("rb")) if stdin else slave
        process = subprocess.Popen(
            command(*arguments),
            stdin=source,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env=settings(env),
            preexec_fn=take_terminal,
        )
        os.close(slave)
        stack.callback(end, process)
        yield Terminal(process, master)


def settings(env: Mapping[str, str]) -> dict[str, str]:
    return environment(**{"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONUTF8": "1", **env})


def take_terminal() -> None:
    """Make the terminal the process's own, so that Ctrl-C reaches it as a signal."""
    os.setsid()
    fcntl.ioctl(1, termios.TIOCSCTTY, 0)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
