"""One model behind our server and behind vLLM's own, in turns: what the front end costs, and how fast it streams.

Ours runs twice: as it is, and with coalescing off (the option `beat` 0, "never waiting").

With a model so small that the front end is the wall, as `scripts/make_checkpoints FOLDER tiny-llama` makes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop
from figures import Line, compared, table
from load import connect, paced
from msgspec import Struct, field, to_builtins
from pinned import Pinned
from rivals import TOKENS, chat, ours, ready, theirs, written

THEIRS = "vLLM's own"
# An engine's workers go on looking for work for a moment, at the cost of whoever is measured next.
REST = 0.5
ENGINE = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024, "max_num_seqs": 256}
# For hosts without a GPU; one with a GPU does not look at them.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


class Figures(Struct):
    """One server at one width: a value a round. `cpu` and `step` are for one token of all streams: µs of the front
    end's CPU, and of time. `first` and `between` are a stream's own: ms to the first token, ms between two."""

    server: str
    streams: int
    cpu: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    errors: int = 0


class Bar(Struct, frozen=True):
    """A figure against vLLM's own: the ratio it must keep to, and the one to aim at."""

    name: str
    unit: str
    must: float | None = None
    target: float | None = None


CPU = Bar("CPU a token", "µs", 0.8, 0.45)
STEP = Bar("time a token", "µs", 1 / 1.05, 1 / 1.25)
FIRST = Bar("first token", "ms", 0.9, 0.6)
ALONE = {"first": Bar("first token", "ms", 1.0, 0.95), "between": Bar("between tokens", "ms", 1.0, 0.95)}
MANY = {"cpu": CPU, "step": STEP, "first": FIRST}


async def take(server: Pinned, figures: Figures, number: int) -> None:
    """One round: all streams at once, over new connections."""
    clients = await connect(server.port, figures.streams)
    cpu, begun = server.cpu(), time.perf_counter()
    answers = await paced(clients, chat(number), 0.0)
    took, used = time.perf_counter() - begun, server.cpu() - cpu
    for client in clients:
        client.transport.close()
    counts = [written(answer) for answer in answers]
    total = max(1, sum(counts))
    figures.errors += sum(count != TOKENS for count in counts)
    figures.cpu.append(used * 1e6 / total)
    figures.step.append(took * 1e6 / total)
    figures.first.append(statistics.median((answer.first - answer.sent) * 1000 for answer in answers))
    figures.between.append(statistics.median((answer.ended - answer.first) * 1000 for answer in answers) / (TOKENS - 1))
    figures.events.append(sum(len(answer.events()) for answer in answers) / total)


async def measure(servers: dict[str, Pinned], widths: list[int], rounds: int) -> list[Figures]:
    """Rounds of all servers in changing order, so that what else the machine does meets them alike."""
    found: list[Figures] = []
    for width in widths:
        rows = {name: Figures(name, width) for name in servers}
        for number in range(rounds + 1):
            for name, server in random.sample(list(servers.items()), len(servers)):
                await asyncio.sleep(REST)
                # The first round only warms up.
                await take(server, rows[name] if number else Figures(name, width), number)
        found += rows.values()
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder")
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 64], metavar="N", help="streams at once")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when an answer was wrong or a figure is not what it must be."""
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    return compare(arguments.model, ENGINE, arguments.widths, arguments.rounds, as_json=arguments.json)


def compare(model: str, engine: Mapping[str, Any], widths: list[int], rounds: int, *, as_json: bool) -> int:
    """The servers one after the other, as each engine measures how much memory is free; then their rounds."""
    servers: dict[str, Pinned] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts: dict[str, Callable[[], Pinned]] = {
            THEIRS: lambda: theirs(model, engine, folder),
            "ours": lambda: ours(model, engine, folder, "ours", 0.02),
            "ours, never waiting": lambda: ours(model, engine, folder, "plain", 0.0),
        }
        try:
            for server, start in starts.items():
                servers[server] = start()
                uvloop.run(ready(servers[server]))
            found = uvloop.run(measure(servers, widths, rounds))
        finally:
            for running in servers.values():
                running.stop()
    lines = [line for case in found for line in against(case, found)]
    print(json.dumps(to_builtins([found, lines]), indent=1) if as_json else table(lines), flush=True)
    for case in found:
        if case.errors:
            print(f"{case.server}, {case.streams} streams: {case.errors} wrong answers", file=sys.stderr)
    return int(any(case.errors for case in found) or any(line.verdict == "FAIL" for line in lines))


def against(case: Figures, found: list[Figures]) -> list[Line]:
    """The lines of a case, beside those of vLLM's own server at the same width."""
    if case.server == THEIRS:
        return []
    [other] = [each for each in found if each.server == THEIRS and each.streams == case.streams]
    name = f"{case.server}, {case.streams}"
    lines = []
    for figure, bar in (ALONE if case.streams == 1 else MANY).items():
        line = compared(name, bar.name, bar.unit, getattr(case, figure), getattr(other, figure))
        line.must, line.target = bar.must, bar.target
        lines.append(line)
    return [*lines, compared(name, "events a token", "1", case.events, other.events)]
