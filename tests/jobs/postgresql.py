"""A PostgreSQL server of one's own, from the system's packages, without fsync: it is thrown away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
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
    """Its URL, without a database's name. It runs as another user where we are root, as it asks for that."""
    # Below a folder that others may enter.
    with tempfile.TemporaryDirectory(prefix="jobs-", dir="/tmp") as folder, _running(Path(folder)) as url:
        yield url


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    found = programs()
    assert found is not None
    user = "postgres" if os.getuid() == 0 else None
    data = folder / "data"
    if user is not None:
        shutil.chown(folder, user)
    made: list[str | Path] = [
        found / "initdb",
        "-D",
        data,
        "-A",
        "trust",
        "-U",
        "jobs",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run(made, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder, env={})
    port = free_port()
    options = [part for setting in (*SETTINGS, f"unix_socket_directories={folder}") for part in ("-c", setting)]
    log = (folder / "log").open("wb")
    command: list[str | Path] = [found / "postgres", "-D", data, "-p", str(port), *options]
    process = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder, env={})
    try:
        ready: list[str | Path] = [found / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "20"]
        for _ in range(200):
            if subprocess.run(ready, stdout=subprocess.DEVNULL, check=False).returncode == 0:
                break
            assert process.poll() is None, (folder / "log").read_text()
        yield f"postgresql://jobs@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
