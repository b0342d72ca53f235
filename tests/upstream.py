"""A scripted upstream for tests: in a process of its own, in a thread, or in the test's own event loop.

    with upstream("--model", "a", "--delay", "0.02") as fake:        # a process: can be killed and frozen
        fake.script(fault="reset-after-3", fault_every=2)
        ...
        assert fake.wait_for(lambda seen: seen.aborted).aborted[0].after < 0.2
    with threaded(models=("a",), script=Script(chunks=3)) as fake:   # starts in some milliseconds
        ...
    async with inside(models=("a",)) as fake:                        # no second thread: fake.seen() is a plain call
        ...

What a script can say is in `openai_proxy/fake_upstream/script.py`, the faults in `faults.py` beside it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import openai
import uvloop
from msgspec import Struct

from openai_proxy.fake_upstream import FakeUpstream, Options
from tests.running import ROOT, environment


class SeenRequest(Struct):
    """A request that arrived; `began` and `ended` are of `time.monotonic()`.

    `end`: "running", "answered" (well or badly, to its end), "cut" (by a fault), "aborted" (its client left).
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: str
    size: int
    fault: str
    began: float
    ended: float | None
    end: str
    writes: int

    def header(self, name: str) -> str | None:
        """The only header of this name, or None."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) < 2, values
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class SeenAbort(Struct):
    """A client that left: noticed `at` that time of `time.monotonic()`, `after` seconds since its request came."""

    number: int
    path: str
    at: float
    after: float
    writes: int


class Seen(Struct):
    """What the upstream saw since its start or the last `reset`; `running`, `waiting` and `connections` are of now.

    `last` has the last 100 requests, the oldest first; control routes are in none of the figures.
    """

    name: str
    now: float
    requests: int
    running: int
    waiting: int
    connections: int
    opened: int
    answered: int
    cut: int
    paths: dict[str, int]
    faults: dict[str, int]
    aborted: list[SeenAbort]
    last: list[SeenRequest]


class Upstream:
    """A running upstream, steered over its control routes."""

    def __init__(self, url: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.process = process
        self._clients: list[openai.OpenAI] = []
        self._lock = threading.Lock()
        self._connection = self._control_connection()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def seen(self, last: int | None = None) -> Seen:
        query = "" if last is None else f"?last={last}"
        return msgspec.convert(self._control("GET", f"/fake/seen{query}"), Seen)

    def script(self, **values: Any) -> dict[str, Any]:
        """Change the script of all requests from now on; returns the whole of it. What is not named stays."""
        script: dict[str, Any] = self._control("POST", "/fake/script", values)
        return script

    def reset(self) -> None:
        """Forget what was seen, and take the first script again."""
        self._control("POST", "/fake/reset")

    def wait_for(self, condition: Callable[[Seen], object], timeout: float = 10) -> Seen:
        """What was seen as soon as the condition holds."""
        end = time.monotonic() + timeout
        while not condition(seen := self.seen()):
            assert time.monotonic() < end, f"it did not happen in time: {seen}"
            time.sleep(0.01)
        return seen

    def client(self, **options: Any) -> openai.OpenAI:
        """The SDK, strict about every answer, without retries unless `options` say otherwise."""
        settings: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": 30, **options}
        client = openai.OpenAI(base_url=self.base_url, _strict_response_validation=True, **settings)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Close what was opened to it; it goes on."""
        for client in self._clients:
            client.close()
        self._connection.close()

    def kill(self) -> None:
        """End its process as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop its process: the kernel still takes connections, nobody answers. `thaw` lets it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _control(self, method: str, path: str, values: Any = None) -> Any:
        """One connection for all orders: it outlives `down`."""
        with self._lock:
            self._connection.request(method, path, None if values is None else json.dumps(values))
            answer = self._connection.getresponse()
            body = json.loads(answer.read())
        assert answer.status == 200, body
        return body

    def _control_connection(self) -> http.client.HTTPConnection:
        if self.url.startswith("https"):
            context = ssl._create_unverified_context()
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)


@contextmanager
def upstream(*arguments: str, **env: str) -> Iterator[Upstream]:
    """`openai-proxy fake-upstream` with these arguments, in a process of its own."""
    command = [sys.executable, "-m", "openai_proxy", "fake-upstream", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(**env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        assert url, "the upstream did not start; its complaint is above"
        with closing(Upstream(url, process)) as running:
            yield running
    finally:
        for number in (signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def threaded(**options: Any) -> Iterator[Upstream]:
    """An upstream with these `Options`, in a thread with an event loop of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    fake = FakeUpstream(Options(**options))
    try:
        asyncio.run_coroutine_threadsafe(fake.start(), loop).result(10)
        with closing(Upstream(fake.url)) as running:
            yield running
    finally:
        asyncio.run_coroutine_threadsafe(fake.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and 127.0.0.1, signed by itself, and its key, as files in `folder`."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    subprocess.run(["openssl", "req", *kind, *names, "-out", chain, "-keyout", key], check=True, capture_output=True)
    return chain, key


class Inside(Upstream):
    """An upstream in the loop that asks: its figures and its script need no request."""

    def __init__(self, fake: FakeUpstream) -> None:
        super().__init__(fake.url)
        self.fake = fake

    def _control(self, method: str, path: str, values: Any = None) -> Any:
        name, _, last = path.removeprefix("/fake/").partition("?last=")
        if name == "seen":
            return msgspec.to_builtins(self.fake.seen(int(last) if last else None))
        if name == "script":
            return msgspec.to_builtins(self.fake.direct(values))
        return self.fake.reset()

    async def wait(self, condition: Callable[[Seen], object], timeout: float = 10) -> Seen:
        """`wait_for`, without holding up the loop."""
        async with asyncio.timeout(timeout):
            while not condition(seen := self.seen()):
                await asyncio.sleep(0.01)
        return seen


@asynccontextmanager
async def inside(**options: Any) -> AsyncIterator[Inside]:
    """An upstream with these `Options` in the running event loop."""
    fake = FakeUpstream(Options(**options))
    await fake.start()
    try:
        yield Inside(fake)
    finally:
        await fake.close()
