"""A PostgreSQL server of one's own, from the system's packages, without fsync: it is thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=127.0.0.1")


def programs() -> Path | None:
    """Where `initdb` and `postgres` lie: Debian does not put them on the path."""
    found = shutil.which("initdb")
    if found is not None and shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def running() -> Iterator[str]:
    """The URL of one, without a database's name."""
    with server() as started:
        yield started.url


@contextmanager
def server() -> Iterator[Server]:
    """One that can be stopped and started."""
    # Below a folder that others may enter.
    with tempfile.TemporaryDirectory(prefix="jobs-", dir="/tmp") as folder:
        started = Server(Path(folder))
        started.start()
        try:
            yield started
        finally:
            started.stop(signal.SIGQUIT)


class Server:
    """It runs as another user where we are root, as it asks for that."""

    def __init__(self, folder: Path) -> None:
        found = programs()
        assert found is not None
        self.programs = found
        self.folder = folder
        self.user = "postgres" if os.getuid() == 0 else None
        self.port = free_port()
        self.url = f"postgresql://jobs@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        if self.user is not None:
            shutil.chown(folder, self.user)
        self._run("initdb", "-A", "trust", "-U", "jobs", "--no-sync", "-E", "UTF8", "--locale=C").wait()

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [self.programs / program, "-D", self.folder / "data", *arguments]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, user=self.user, stdout=log, stderr=log, cwd=self.folder, env={})

    def start(self) -> None:
        """Returns when it answers."""
        options = [part for each in (*SETTINGS, f"unix_socket_directories={self.folder}") for part in ("-c", each)]
        self.process = self._run("postgres", "-p", str(self.port), *options)
        ready: list[str | Path] = [self.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-t", "20"]
        end = time.monotonic() + 60
        while subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """Whoever is connected is cut off."""
        if self.process is not None:
            self.process.send_signal(by)
            self.process.wait(20)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
