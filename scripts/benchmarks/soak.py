"""Many mixed requests: plain, streamed, abandoned, wrong. What must stay flat is printed as it goes.

Of every hundred requests 50 are plain, 30 streamed, 10 left in the middle of the stream and 10 wrong in some way. They
go to the echo model, or with --remote to models behind a fake upstream, where the wrong ones are its faults as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from edge import CONFIG
from load import Client, Exchange, connect, post
from msgspec import Struct, to_builtins
from pinned import Pinned

COLUMNS = 16
SAID = [{"role": "user", "content": "x " * 20}]
WRONG = (
    b"{",
    b'{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "echo", "messages": []}',
    b'{"model": "echo", "messages": [{"role": "user", "content": "x"}], "temperature": 9}',
)
FAILING = (b'{"model": "echo", "messages": [{"role": "user", "content": "x"}], "script": {"fail": "early"}}',)
FAULTS = ("reset-before", "close-after-3", "status-500", "status-429", "malformed-sse", "truncated-json", "error-event")
RUNNING = re.compile(r"openai_proxy_requests_running\{[^}]*\} (\S+)")
REMOTE = """\
[server]
connections = 4000
connections_per_peer = 4000
"""
UPSTREAM = """\
[models.{name}]
backend = "remote"
upstreams = [{{ url = "{url}", model = "fake", headers = {{ x-fake = "{script}" }} }}]
"""


class Sample(Struct):
    """The server after so many requests; `memory` in kB, `running` requests in the engine."""

    requests: int
    seconds: float
    memory: float
    descriptors: int
    threads: int
    running: float
    unexpected: int


class Echo:
    """The echo model, told by each request what to answer."""

    config = CONFIG
    wrong = WRONG + FAILING

    def plain(self) -> dict[str, object]:
        return {"model": "echo", "messages": SAID}

    def streamed(self, chunks: int) -> dict[str, object]:
        return {**self.plain(), "stream": True, "script": {"chunks": chunks}}

    def endless(self) -> dict[str, object]:
        return {**self.plain(), "stream": True, "script": {"chunks": 1000, "delay": 0.01}}


class Remote:
    """Models at one fake upstream, each of which answers in its own way."""

    def __init__(self, url: str) -> None:
        scripts = {"echo": "chunks=16", "endless": "chunks=1000,delay=0.01"}
        scripts |= {fault: f"fault={fault}" for fault in FAULTS}
        self.config = REMOTE + "".join(UPSTREAM.format(name=name, url=url, script=scripts[name]) for name in scripts)
        failing = ({"model": fault, "messages": SAID, "stream": fault != "truncated-json"} for fault in FAULTS)
        self.wrong = WRONG + tuple(json.dumps(body).encode() for body in failing)

    def plain(self) -> dict[str, object]:
        return {"model": "echo", "messages": SAID}

    def streamed(self, chunks: int) -> dict[str, object]:
        return {**self.plain(), "stream": True}

    def endless(self) -> dict[str, object]:
        return {**self.streamed(1000), "model": "endless"}


class Soak:
    """A pool of connections that ask, leave and err; `unexpected` counts answers that should not be."""

    def __init__(self, server: Pinned, subject: Echo | Remote, width: int, seed: int) -> None:
        self.server = server
        self.subject = subject
        self.width = width
        self.random = random.Random(seed)
        self.unexpected = 0
        self.left = 0

    async def run(self, count: int) -> None:
        """`count` requests."""
        self.left = count
        await asyncio.gather(*(self._worker() for _ in range(self.width)))

    async def _worker(self) -> None:
        [client] = await connect(self.server.port, 1)
        while self.left > 0:
            self.left -= 1
            if client.transport.is_closing():
                [client] = await connect(self.server.port, 1)
            await self._one(client)
        client.transport.close()

    async def _one(self, client: Client) -> None:
        kind, subject = self.random.random(), self.subject
        if kind < 0.5:
            self._expect(await client.ask(_chat(subject.plain())), b" 200 ")
        elif kind < 0.8:
            answer = await client.ask(_chat(subject.streamed(self.random.randrange(1, 30))))
            self._expect(answer, b" 200 ")
            self.unexpected += answer.events()[-1:] != [b"[DONE]"]
        elif kind < 0.9:
            running = client.ask(_chat(subject.endless()))
            await asyncio.sleep(self.random.random() / 20)
            client.transport.abort()
            await running
        else:
            answer = await client.ask(post("/v1/chat/completions", self.random.choice(subject.wrong)))
            self.unexpected += b"[DONE]" in answer.raw or b'{"error":{"message":' not in answer.raw

    def _expect(self, answer: Exchange, status: bytes) -> None:
        self.unexpected += answer.broken or status not in answer.raw[:20]

    async def running(self) -> float:
        """Requests that the server says are in its engine."""
        [client] = await connect(self.server.port, 1)
        answer = await client.ask(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        client.transport.close()
        found = RUNNING.findall(answer.raw.decode())
        return sum(map(float, found)) if found else -1.0


def _chat(body: dict[str, object]) -> bytes:
    return post("/v1/chat/completions", json.dumps(body).encode())


@contextmanager
def subject(remote: bool, folder: Path) -> Iterator[Echo | Remote]:
    """What is asked; with an upstream of its own where that is needed."""
    if not remote:
        yield Echo()
        return
    upstream = Pinned(["-m", "openai_proxy", "fake-upstream", "--keep", "1"], folder / "upstream")
    try:
        yield Remote(f"http://127.0.0.1:{upstream.port}")
    finally:
        upstream.stop()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=20_000, metavar="N")
    parser.add_argument("--width", type=int, default=32, metavar="N", help="connections at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--remote", action="store_true", help="ask models of the backend remote")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


async def _soak(soak: Soak, arguments: argparse.Namespace) -> list[Sample]:
    begun = time.monotonic()
    samples: list[Sample] = []
    done = 0
    step = max(1, arguments.requests // COLUMNS)
    while done < arguments.requests:
        await soak.run(step)
        done += step
        await asyncio.sleep(0.7)
        sample = Sample(
            done,
            round(time.monotonic() - begun, 1),
            soak.server.memory(),
            soak.server.descriptors(),
            len(list(soak.server.proc.glob("task/*"))),
            await soak.running(),
            soak.unexpected,
        )
        samples.append(sample)
        if not arguments.json:
            print("  ".join(f"{value!s:>12}" for value in to_builtins(sample).values()), flush=True)
    return samples


def main(arguments: argparse.Namespace) -> int:
    """Soak and print; 1 when memory, descriptors or requests in the engine grew, or an answer was unexpected."""
    if not arguments.json:
        print("  ".join(f"{name:>12}" for name in Sample.__struct_fields__))
    with tempfile.TemporaryDirectory() as name, subject(arguments.remote, Path(name)) as asked:
        config = Path(name, "soak.toml")
        config.write_text(asked.config)
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(name, "log"))
        try:
            time.sleep(1)
            samples = uvloop.run(_soak(Soak(server, asked, arguments.width, arguments.seed), arguments))
        finally:
            server.stop()
    middle, last = samples[len(samples) // 2], samples[-1]
    slope = (last.memory - middle.memory) / max(1, last.requests - middle.requests) * 1024
    spare = arguments.width if arguments.remote else 5  # idle connections to upstreams come and go
    flat = slope < 1024 and last.descriptors <= middle.descriptors + spare and last.running == 0
    verdict = {"bytes_a_request": round(slope), "flat": flat, "unexpected": last.unexpected}
    if arguments.json:
        print(json.dumps({"samples": to_builtins(samples), **verdict}, indent=1))
    else:
        print(f"memory in the second half: {slope:.0f} bytes a request; {'flat' if flat else 'GREW'}", file=sys.stderr)
    return int(not flat or bool(last.unexpected))
