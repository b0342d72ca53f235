"""Jobs in SQLite with the echo backend: what keeping them costs, and whom they disturb.

All in one process without HTTP, but for clients of each protocol that ask about their jobs again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import polling
import uvloop
from figures import Line, percentile, table
from msgspec import to_builtins

from backends.requests import ChatRequest, Message, Sampling, Text
from openai_proxy.app import create_app
from openai_proxy.config import Config, JobSettings, ModelConfig
from openai_proxy.dialects import Edge
from openai_proxy.jobs.job import Order
from openai_proxy.keys import Keys

# The seconds that one job of the busy model takes, and the words of a stream with the seconds between two.
BUSY, WORDS, PAUSE = 0.1, 100, 0.02
ACCEPTING, POLLED, STREAMS = 64, 1000, 16
EXTRA_MS, CPU, LATER = 5.0, 0.5, 1.1
# Bytes that SQLite writes for a job.
WRITTEN = 24_000


def ask(model: str, text: str = "one two three", **script: Any) -> ChatRequest:
    """A chat."""
    message = Message(role="user", parts=(Text(text),))
    extra = {"script": script} if script else {}
    return ChatRequest(model=model, messages=(message,), sampling=Sampling(max_tokens=400), extra=extra)


def order(request: ChatRequest) -> Order:
    return Order(request=request, owner="bench", origin="bench", sent=b"{}" * 200)


@asynccontextmanager
async def serving(database: str, folder: Path, queued: int) -> AsyncIterator[Edge]:
    """`echo` has room for all, `busy` for one job."""
    models = {name: ModelConfig(backend="echo", slots=slots) for name, slots in (("echo", 256), ("busy", 1))}
    settings = JobSettings(database=database, home=str(folder), queued=2 * queued, keep_count=4 * queued)
    edge = create_app(Config(models=models, jobs=settings), Keys()).edge
    edge.router.start()
    for name in models:
        await edge.router.find(name).presence.settled.wait()
    await edge.jobs.open()
    try:
        yield edge
    finally:
        await edge.jobs.close()
        await edge.router.close()


async def waited(edge: Edge, count: int, folder: Path) -> tuple[float, float, float]:
    """Milliseconds that a direct call takes, a job with its answer, and only putting as much on the disk: the medians
    of calls in turns.
    """
    direct, jobs, disk = [], [], []
    for _ in range(count):
        disk.append(synced(folder / "beside"))
        begun = time.perf_counter()
        async for _ in edge.router.run(ask("echo")):
            pass
        between = time.perf_counter()
        job = await edge.jobs.submit(order(ask("echo")))
        await edge.jobs.wait(job.id, "bench")
        await edge.jobs.events(job.id, "bench")
        ended = time.perf_counter()
        direct.append((between - begun) * 1000)
        jobs.append((ended - between) * 1000)
    return statistics.median(direct), statistics.median(jobs), statistics.median(disk)


def synced(file: Path) -> float:
    """Milliseconds until what is added to a file is on the disk."""
    with file.open("ab", buffering=0) as kept:
        begun = time.perf_counter()
        kept.write(bytes(WRITTEN))
        os.fdatasync(kept.fileno())
        return (time.perf_counter() - begun) * 1000


async def accepted(edge: Edge, count: int) -> tuple[list[str], float]:
    """Hand in jobs that have to wait; their ids, and how many were taken a second."""
    ids: list[str] = []

    async def hand_in() -> None:
        while len(ids) + ACCEPTING <= count:
            ids.append((await edge.jobs.submit(order(ask("busy", delay=BUSY)))).id)

    begun = time.perf_counter()
    await asyncio.gather(*(hand_in() for _ in range(ACCEPTING)))
    return ids, len(ids) / (time.perf_counter() - begun)


async def polled(edge: Edge, ids: list[str], seconds: int) -> float:
    """Cores that are busy while each job is asked for once a second."""

    async def poll(place: int, id: str) -> None:
        await asyncio.sleep(place / len(ids))
        for _ in range(seconds):
            begun = time.monotonic()
            await edge.jobs.get(id, "bench")
            await asyncio.sleep(max(0.0, begun + 1 - time.monotonic()))

    begun, before = time.perf_counter(), time.process_time()
    await asyncio.gather(*(poll(place, id) for place, id in enumerate(ids)))
    return (time.process_time() - before) / (time.perf_counter() - begun)


async def streamed(edge: Edge, rounds: int) -> float:
    """Milliseconds between two words of a stream, p99; the median of the rounds."""

    async def read(place: int) -> list[float]:
        await asyncio.sleep(place * PAUSE / STREAMS)
        times = []
        async for _ in edge.router.run(ask("echo", "word " * WORDS, delay=PAUSE)):
            times.append(time.perf_counter())
        return [(later - earlier) * 1000 for earlier, later in pairwise(times[:-2])]

    found = []
    for _ in range(rounds):
        gaps = await asyncio.gather(*map(read, range(STREAMS)))
        found.append(percentile([gap for each in gaps for gap in each], 0.99))
    return statistics.median(found)


async def measure(database: str, folder: Path, queued: int, rounds: int) -> list[Line]:
    """All figures, the idle ones first."""
    async with serving(database, folder, queued) as edge:
        await waited(edge, 20, folder)
        direct, job, disk = await waited(edge, 200, folder)
        alone = await streamed(edge, rounds)
        ids, rate = await accepted(edge, queued)
        beside = await streamed(edge, rounds)
        cpu = await polled(edge, ids[-POLLED:], 10)
    return [
        Line("idle", "a waited job, more than a direct call; a sync", "ms", job - direct, disk, None, EXTRA_MS),
        Line(f"{ACCEPTING} at once", "jobs accepted", "1/s", rate),
        Line(f"{len(ids)} queued", "between words of a chat, p99", "ms", beside, alone, beside / alone, LATER),
        Line(f"{len(ids)} queued", f"{POLLED} jobs polled once a second", "cores", cpu, None, None, CPU),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", help="as the setting jobs.database; a SQLite file that is thrown away if absent")
    parser.add_argument("--queued", type=int, default=10_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of two seconds, with and without a queue")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a figure is not what it must be."""
    with tempfile.TemporaryDirectory() as name:
        database = arguments.database or f"{name}/jobs.db"
        lines = uvloop.run(measure(database, Path(name), arguments.queued, arguments.rounds))
        lines += polling.measure(arguments.database or f"{name}/polled.db", Path(name))
    print(json.dumps(to_builtins(lines), indent=1) if arguments.json else table(lines), flush=True)
    missed = [line for line in lines if line.verdict == "FAIL"]
    if missed:
        print(f"{len(missed)} figures are not what they must be", file=sys.stderr)
    return int(bool(missed))
