"""A program that runs on the cluster: a child process of an actor, which Serve watches, restarts and ends.

This is how the edge comes there. Behind an ASGI ingress of Serve's, Serve's own HTTP proxy would face the clients; as a
program it keeps its own listener, with its limits, its key check before the body and its way to end a broken stream.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from backends.errors import EngineFailed
from backends.ray.cluster import HEALTH_PATIENCE, HEALTH_PERIOD, TRIES, Deployment, digest

OPENS_WITHIN = 60.0
LOOK = 0.1
# prctl's PR_SET_PDEATHSIG
PARENT_DEATH = 1
LONGEST = 2000


class Program:
    """Runs `python -m arguments` in a folder with `files`; ready once something listens on `port`.

    At the end it gets SIGTERM and `patience` seconds.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, arguments: tuple[str, ...], files: Mapping[str, str], port: int, patience: float
    ) -> None:
        self._patience = patience
        self._folder = tempfile.TemporaryDirectory(prefix="openai-proxy-")
        folder = Path(self._folder.name)
        for name, text in files.items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text, encoding="utf-8")
        with (folder / "errors").open("wb") as errors:
            self._child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own words; it returns at once
                [sys.executable, "-m", *arguments],
                cwd=folder,
                env={**os.environ, **_whereabouts()},
                stdin=subprocess.DEVNULL,
                stderr=errors,
                preexec_fn=_end_with_the_parent,
            )
        await self._opened(folder / "errors", port)

    async def _opened(self, errors: Path, port: int) -> None:
        end = time.monotonic() + OPENS_WITHIN
        while not await asyncio.to_thread(_listens, port):
            code = self._child.poll()
            if code is not None or time.monotonic() > end:
                self._child.kill()
                raise EngineFailed(await asyncio.to_thread(_last_words, errors) or f"the program ended with {code}")
            await asyncio.sleep(LOOK)

    async def check_health(self) -> None:
        """Asked by Serve, which starts another one when this raises."""
        if self._child.poll() is not None:
            raise EngineFailed(f"the program ended with {self._child.returncode}")

    async def __del__(self) -> None:
        """Called and awaited by Serve when it is to end."""
        self._child.terminate()
        try:
            await asyncio.to_thread(self._child.wait, self._patience)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._folder.cleanup()


def program(
    name: str, arguments: tuple[str, ...], files: Mapping[str, str], port: int, patience: float, copies: int
) -> Deployment:
    """A program as a deployment: one copy a node."""
    settings = {
        "num_replicas": copies,
        "ray_actor_options": {"num_cpus": 1},
        "max_replicas_per_node": 1,
        "health_check_period_s": HEALTH_PERIOD,
        "health_check_timeout_s": HEALTH_PATIENCE,
        "graceful_shutdown_timeout_s": patience + 5,
        "graceful_shutdown_wait_loop_s": LOOK,
        "max_constructor_retry_count": TRIES * copies,
    }
    described = (arguments, dict(files), port, patience)
    return Deployment(name, Program, described, settings, digest(described, settings))


def _whereabouts() -> dict[str, str]:
    """Where the program finds our packages, and this cluster, of several that a machine may be in."""
    import ray

    paths = os.pathsep.join(path for path in sys.path if path)
    return {"PYTHONPATH": paths, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}


def _last_words(errors: Path) -> str:
    said = errors.read_text(errors="replace")[-LONGEST:].strip().splitlines()
    return said[-1] if said else ""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end_with_the_parent() -> None:
    """A killed actor must not leave a server behind that holds the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)
