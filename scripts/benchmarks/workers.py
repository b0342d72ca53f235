"""Two workers against one process, both with the echo backend on the same core: what sharing costs a request.

Limits, queue and figures are held in common; the CPU is that of the supervisor and all workers, the memory what they
have in proportion (PSS), since forked processes share much of it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from edge import CASES, CONFIG, Case, Run, Target
from figures import Line, compared, table
from pinned import Pinned, pin_load

SHARED = (1.15, 1.05)
TWO_KB = (60_000.0, 40_000.0)


class Family(Pinned):
    """A server with all its processes."""

    @property
    def members(self) -> list[Path]:
        children = (self.proc / "task" / str(self.process.pid) / "children").read_text().split()
        return [self.proc, *(Path("/proc", pid) for pid in children)]

    def cpu(self) -> float:
        tasks = [task for each in self.members for task in each.glob("task/*/schedstat")]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> float:
        """Memory in kB, what is shared counted once."""
        rollups = [(each / "smaps_rollup").read_text() for each in self.members]
        return sum(float(size) for text in rollups for size in re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE))


def _start(stack: ExitStack, folder: Path, cores: set[int] | None, workers: int) -> Target:
    config = folder / "edge.toml"
    config.write_text(CONFIG)
    command = ["-m", "openai_proxy", "serve", "--port", "0", "--workers", str(workers), "--config", str(config)]
    server = Family(command, folder / f"{workers}.log", cores)
    stack.callback(server.stop)
    return Target(server, ours=True)


def measure(folder: Path, cores: set[int] | None, repetitions: int) -> tuple[list[Line], int]:
    """The lines, and how many answers were wrong or missing."""
    with ExitStack() as stack:
        two, one = (_start(stack, folder, cores, workers) for workers in (2, 1))
        time.sleep(1)
        idle = Line("idle", "PSS of all processes", "kB", two.server.memory(), one.server.memory(), None, *TWO_KB)
        runs: dict[tuple[str, Target], list[Run]] = {(case.name, each): [] for case in CASES for each in (two, one)}
        for target in (two, one):
            target.run(Case("", 8, count=500))
        for repetition in range(repetitions):
            for case in CASES:
                for target in (one, two) if repetition % 2 else (two, one):
                    runs[case.name, target].append(target.run(case))
                    print(".", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    lines = [line for case in CASES for line in _lines(case, runs[case.name, two], runs[case.name, one])]
    return [*lines, idle], sum(run.errors for some in runs.values() for run in some)


def _lines(case: Case, two: list[Run], one: list[Run]) -> list[Line]:
    def line(figure: str, unit: str, name: str) -> Line:
        ours, other = ([getattr(run, name) for run in runs] for runs in (two, one))
        return compared(case.name, figure, unit, ours, other)

    cpu = line("CPU a chunk" if case.chunks else "CPU a request", "us", "unit_cpu")
    if case.width > 1:  # one client alone pays for what three processes do when they are idle
        cpu.must, cpu.target = SHARED
    return [cpu, line("TTFT p99" if case.chunks else "latency p99", "ms", "p99")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="interleaved runs of each case")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a must is missed or an answer was wrong."""
    cores = pin_load()
    with tempfile.TemporaryDirectory() as name:
        lines, wrong = measure(Path(name), cores, arguments.repetitions)
    lines.append(Line("all", "wrong or missing answers", "", wrong, None, None, 0, 0))
    print(table(lines))
    return int(any(line.verdict == "FAIL" for line in lines))
