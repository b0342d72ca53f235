"""A real server process on a loopback socket, and what tests ask of it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai

ROOT = Path(__file__).parent.parent
URL = re.compile(rb"http://127\.0\.0\.1:([1-9]\d*)")
KEPT = ("OPENAI_PROXY_HOME", "OPENAI_PROXY_WHEELS")


class NotServing(AssertionError):
    """The server ended, or did not become ready in time; the message has its log."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a server: ours, without what would change its settings, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_") or name in KEPT}
    return {**kept, **more}


class Running:
    """A server process. `log` holds all that it printed; `base_url` ends in /v1."""

    def __init__(self, arguments: tuple[str, ...], log: Path, env: dict[str, str]) -> None:
        self.log = log
        env.setdefault("OPENAI_PROXY_JOBS_HOME", str(log.parent / "jobs"))
        env.setdefault("OPENAI_PROXY_DOCUMENTS_HOME", str(log.parent / "documents"))
        command = [sys.executable, "-m", "openai_proxy", "serve", "--port", "0", *arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        self.port = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def wait_for(self, path: str, timeout: float) -> Running:
        """Wait until the port is known and `path` answers 200; "" asks for the port alone."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotServing(f"the server ended with {self.process.returncode}:\n{self.output()}")
            if self._listens() and (not path or self.status(path) == 200):
                return self
            time.sleep(0.05)
        raise NotServing(f"the server was not ready within {timeout} s:\n{self.output()}")

    def _listens(self) -> bool:
        if not self.port:
            found = URL.search(self.log.read_bytes())
            self.port = int(found[1]) if found else 0
        return bool(self.port)

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def status(self, path: str, **headers: str) -> int:
        """The status of GET `path`; 0 while nothing listens, or an engine's imports hold the process for long."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (ConnectionError, TimeoutError):
            return 0
        finally:
            connection.close()

    def client(self, **options: Any) -> openai.OpenAI:
        """The SDK, strict about every answer, without retries unless `options` say otherwise."""
        settings: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": 60, **options}
        return openai.OpenAI(base_url=self.base_url, _strict_response_validation=True, **settings)

    def stop(self, by: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        """Signal the server and return its exit code; kill it when it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
