"""Our server in front of one upstream, beside nginx, a bare Starlette relay and the gateways that are installed.

All run at the same time on one core, upstream and load on another, and are measured in turns: read the ratios.
Everything our server does for a request is on: validation, a key from a file, admission, deadlines, counting, usage,
the disconnect watch and the access log. nginx is one worker with connections kept, no buffering and no log.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import uvloop
from figures import table
from gateways import AIOHTTP, BARE, DIRECT, IDLE, LITELLM, NGINX, OURS, RENAMED, ROUTER, START, fake_upstream
from msgspec import structs, to_builtins
from pinned import Pinned, pin_load
from relay_cases import EMBEDDINGS, Case, Run, direct, held, measure
from relay_rows import Memory, lines

CASES = (
    Case("chat1", 1, count=1500),
    Case("chat64", 64, count=8000),
    Case("paced64", 64, chunks=100, delay=0.02),
    Case("paced64, renamed", 64, chunks=100, delay=0.02, model=RENAMED),
    Case("paced256", 256, chunks=100, delay=0.02),
    Case("paced1000", 1000, chunks=100, delay=0.02),
    Case("stream32", 32, count=320, chunks=200),
    Case("stream128", 128, count=384, chunks=200),
    Case("image8m", 2, count=16, picture=True),
    Case("embed2m", 2, count=60, path=EMBEDDINGS),
    Case("first64", 64, chunks=5, delay=0.02, fresh=True),
)
HELD = Case("1000 held streams", 1000, chunks=50, delay=0.1)
WARM = Case("", 64, chunks=5, delay=0.01)
# How many requests the slow ones are asked, of the cases that they are compared in.
SLOW = {"chat64": 320, "paced64": 0, "image8m": 4, "embed2m": 8}
NOT_FOR = {"chat1": (BARE, ROUTER), "paced64, renamed": (DIRECT, BARE, ROUTER), "first64": (BARE, ROUTER)}
LIBRARY = ("chat1", "chat64", "paced64", "first64")


def _gateways(case: Case, servers: dict[str, Pinned], turn: int) -> list[str]:
    """Who runs this case, in changing order."""
    names = [name for name in servers if name not in NOT_FOR.get(case.name, ())]
    if case.name not in LIBRARY:
        names = [name for name in names if name != AIOHTTP]
    if case.name not in SLOW:
        names = [name for name in names if name != LITELLM]
    return names[turn % len(names) :] + names[: turn % len(names)]


def speed(servers: dict[str, Pinned], cases: list[Case], repetitions: int) -> dict[tuple[str, str], list[Run]]:
    """The runs of each gateway in each case."""
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for repetition in range(repetitions):
        for case in cases:
            if case.fresh:
                time.sleep(IDLE + 1)
            uvloop.run(direct(servers[DIRECT], case.script))
            for name in _gateways(case, servers, repetition):
                asked = case
                if name == LITELLM:
                    asked = structs.replace(case, count=SLOW[case.name])
                elif name != OURS:
                    asked = structs.replace(case, model="fake")
                runs[case.name, name].append(uvloop.run(measure(servers[name], asked)))
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return runs


def _memory(servers: dict[str, Pinned]) -> dict[str, Memory]:
    """Of fresh processes: what each holds idle, and what a held stream adds."""
    found = {name: Memory(servers[name].memory()) for name in (OURS, NGINX, BARE) if name in servers}
    for name, memory in found.items():
        for case in (WARM, HELD):
            uvloop.run(direct(servers[DIRECT], case.script))
            memory.stream, errors = uvloop.run(held(servers[name], case))
            memory.errors += errors
    return found


def start(stack: ExitStack, folder: Path, without: list[str]) -> dict[str, Pinned]:
    """All that are there, the upstream under the name `direct`."""
    cores = pin_load()
    servers = {DIRECT: fake_upstream(folder)}
    stack.callback(servers[DIRECT].stop)
    for name, begin in START.items():
        server = None if name in without else begin(f"http://127.0.0.1:{servers[DIRECT].port}", folder, cores)
        if server is None:
            print(f"without {name}", file=sys.stderr)
        else:
            servers[name] = server
            stack.callback(server.stop)
    time.sleep(1)
    return servers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="interleaved runs of each case")
    parser.add_argument("--quick", action="store_true", help="one run of each case")
    parser.add_argument("--only", nargs="+", metavar="CASE", help=", ".join(case.name for case in CASES))
    parser.add_argument(
        "--without", nargs="+", default=[], choices=[NGINX, BARE, AIOHTTP, ROUTER, LITELLM], metavar="GATEWAY"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a must is missed or an answer was wrong."""
    cases = [case for case in CASES if not arguments.only or case.name in arguments.only]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start(stack, Path(folder), arguments.without)
        memory = {} if arguments.only else _memory(servers)
        runs = speed(servers, cases, 1 if arguments.quick else arguments.repetitions)
    found = lines(runs, memory)
    if arguments.json:
        said = [{**to_builtins(line), "verdict": line.verdict} for line in found]
        every = {" / ".join(key): to_builtins(some) for key, some in runs.items()}
        print(json.dumps({"lines": said, "runs": every, "memory": to_builtins(memory)}, indent=1))
    else:
        print(table(found))
    return int(any(line.verdict == "FAIL" for line in found))
