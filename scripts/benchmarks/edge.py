"""Our server with the echo backend against a bare Starlette route that sends the same bytes at the same pace.

Both run at the same time on one core, the load on another, and are measured in turns: read the ratios. Everything a
server does for a request is on: validation, admission, deadlines, counting, the disconnect watch and the access log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop
from figures import Line, compared, percentile, table
from load import Client, Exchange, closed_loop, connect, paced, post, with_clients
from msgspec import Struct
from pinned import Pinned, pin_load

HERE = Path(__file__).parent
CONFIG = """\
default_model = "echo"
[server]
connections = 4000
connections_per_peer = 4000
[models.echo]
backend = "echo"
slots = 4000
"""
SIZE = 16
LONGEST = 200
CPU_PER_CHUNK = (1.4, 1.15)
CPU_PER_REQUEST = (2.0, 1.5)
HELD_KB = (40.0, 25.0)
IDLE_KB = (70_000.0, 60_000.0)


class Case(Struct, frozen=True):
    """`width` connections; `chunks` 0 stands for plain requests, of which there are `count` in all."""

    name: str
    width: int
    chunks: int = 0
    delay: float = 0.0
    count: int = 0


CASES = (
    Case("plain, 1 client", 1, count=4000),
    Case("plain, 64 clients", 64, count=20_000),
    Case("1 stream, 20 ms", 1, chunks=100, delay=0.02),
    Case("64 streams, 20 ms", 64, chunks=100, delay=0.02),
    Case("1000 streams, 100 ms", 1000, chunks=50, delay=0.1),
)
HELD = Case("1000 held streams", 1000, chunks=40, delay=0.1)


class Run(Struct):
    """One case once on one server. Times in ms, `unit_cpu` in microseconds a chunk or a plain request."""

    errors: int
    unit_cpu: float
    rate: float
    p50: float
    p99: float


class Target:
    """One of the two servers, and how it is asked for a case."""

    def __init__(self, server: Pinned, *, ours: bool) -> None:
        self.server = server
        self.ours = ours

    def request(self, case: Case) -> bytes:
        body: dict[str, object] = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        if case.chunks:
            script = {"chunks": case.chunks, "size": SIZE, "delay": case.delay}
            body |= {"stream": True, "script": script}
        path = f"/stream/{case.chunks}/{case.delay}" if case.chunks else "/plain"
        return post("/v1/chat/completions" if self.ours else path, json.dumps(body).encode())

    def run(self, case: Case) -> Run:
        return uvloop.run(self._run(case))

    async def _run(self, case: Case) -> Run:
        clients = await connect(self.server.port, case.width)
        await asyncio.sleep(0.1)
        cpu, begun = self.server.cpu(), time.perf_counter()
        exchanges = await self._load(case, clients)
        took, cpu = time.perf_counter() - begun, self.server.cpu() - cpu
        for client in clients:
            client.transport.close()
        units = case.width * case.chunks or case.count
        waits = [(each.first - each.sent) * 1000 for each in exchanges]
        errors = sum(not _right(each, case) for each in exchanges) + (case.count or case.width) - len(exchanges)
        return Run(errors, cpu / units * 1e6, units / took, percentile(waits, 0.5), percentile(waits, 0.99))

    async def _load(self, case: Case, clients: list[Client]) -> list[Exchange]:
        if case.chunks:
            return await paced(clients, self.request(case), case.delay)
        return await closed_loop(clients, self.request(case), case.count)


def _right(exchange: Exchange, case: Case) -> bool:
    """Whether an answer is complete: every chunk's mark in order, one end."""
    if not exchange.succeeded():
        return False
    if not case.chunks:
        return b'"finish_reason":"stop"' in exchange.raw
    events = exchange.events()
    if not events or events.pop() != b"[DONE]":
        return False
    deltas = [msgspec.json.decode(event)["choices"][0]["delta"].get("content") for event in events]
    return [text for text in deltas if text] == [f"{number:<{SIZE}}" for number in range(case.chunks)]


async def _prepare(server: Pinned, folder: Path) -> Path:
    """Write down what our server says, for the bare route to say the same."""
    ours = Target(server, ours=True)
    long, plain = Case("", 1, chunks=LONGEST), Case("", 1, count=1)
    [streamed] = await with_clients(server.port, 1, lambda clients: ours._load(long, clients))
    [answered] = await with_clients(server.port, 1, lambda clients: ours._load(plain, clients))
    events = [f"data: {event.decode()}\n\n" for event in streamed.events()]
    file = folder / "prepared.json"
    said = answered.raw.partition(b"\r\n\r\n")[2].decode()
    file.write_text(json.dumps({"events": [*events[:-2], "".join(events[-2:])], "plain": said}))
    return file


class Pair:
    """Both servers, started in `folder` on `cores`."""

    def __init__(self, stack: ExitStack, folder: Path, cores: set[int] | None) -> None:
        config = folder / "edge.toml"
        config.write_text(CONFIG)
        command = ["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)]
        ours = Pinned(command, folder / "ours.log", cores)
        stack.callback(ours.stop)
        time.sleep(1)
        prepared = uvloop.run(_prepare(ours, folder))
        bare = Pinned([str(HERE / "bare.py"), str(prepared)], folder / "bare.log", cores)
        stack.callback(bare.stop)
        self.targets = (Target(ours, ours=True), Target(bare, ours=False))

    def memory(self) -> tuple[float, float]:
        ours, bare = (target.server.memory() for target in self.targets)
        return ours, bare


def _memory(folder: Path, cores: set[int] | None) -> tuple[list[Line], int]:
    """Lines for resident memory, of fresh processes: idle, and what a held stream adds."""
    with ExitStack() as stack:
        pair = Pair(stack, folder, cores)
        idle = pair.memory()
        warm = [target.run(Case("", 64, chunks=5, delay=0.01)).errors for target in pair.targets]
        held = [uvloop.run(_held(target)) for target in pair.targets]
    ours, bare = held
    lines = [
        Line("idle", "RSS", "kB", idle[0], idle[1], None, *IDLE_KB),
        Line(HELD.name, "RSS a stream", "kB", ours[0], bare[0], None, *HELD_KB),
    ]
    return lines, sum(warm) + ours[1] + bare[1]


async def _held(target: Target) -> tuple[float, int]:
    """What one of many held streams adds to resident memory, in kB, and the errors among them."""
    before = target.server.memory()
    clients = await connect(target.server.port, HELD.width)
    running = asyncio.ensure_future(target._load(HELD, clients))
    await asyncio.sleep(HELD.chunks * HELD.delay * 0.6)
    added = (target.server.memory() - before) / HELD.width
    exchanges = await running
    for client in clients:
        client.transport.close()
    return added, sum(not _right(each, HELD) for each in exchanges)


def _speed(folder: Path, cores: set[int] | None, repetitions: int) -> tuple[list[Line], int]:
    with ExitStack() as stack:
        pair = Pair(stack, folder, cores)
        runs: dict[tuple[str, bool], list[Run]] = {(case.name, ours): [] for case in CASES for ours in (True, False)}
        for target in pair.targets:
            target.run(Case("", 8, count=500))
        for repetition in range(repetitions):
            for case in CASES:
                for target in pair.targets[:: -1 if repetition % 2 else 1]:
                    runs[case.name, target.ours].append(target.run(case))
                    print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    lines = [line for case in CASES for line in _lines(case, runs[case.name, True], runs[case.name, False])]
    return lines, sum(run.errors for some in runs.values() for run in some)


def _lines(case: Case, ours: list[Run], bare: list[Run]) -> list[Line]:
    wait = "TTFT" if case.chunks else "latency"

    def line(figure: str, unit: str, name: str) -> Line:
        return compared(
            case.name, figure, unit, [getattr(run, name) for run in ours], [getattr(run, name) for run in bare]
        )

    cpu = line("CPU a chunk" if case.chunks else "CPU a request", "us", "unit_cpu")
    cpu.must, cpu.target = CPU_PER_CHUNK if case.chunks else CPU_PER_REQUEST
    rate = line("chunks" if case.chunks else "requests", "1/s", "rate")
    return [cpu, rate, line(f"{wait} p50", "ms", "p50"), line(f"{wait} p99", "ms", "p99")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="interleaved runs of each case")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a must is missed or an answer was wrong."""
    cores = pin_load()
    with tempfile.TemporaryDirectory() as name:
        memory, wrong = _memory(Path(name), cores)
        speed, errors = _speed(Path(name), cores, arguments.repetitions)
    lines = [*speed, *memory, Line("all", "wrong or missing answers", "", wrong + errors, None, None, 0, 0)]
    if arguments.json:
        print(json.dumps([{**msgspec.to_builtins(line), "verdict": line.verdict} for line in lines], indent=1))
    else:
        print(table(lines))
    return int(any(line.verdict == "FAIL" for line in lines))
