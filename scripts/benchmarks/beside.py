"""One model behind our server and behind vLLM's own, in turns: what the front end costs, and how fast it streams.

With a model so small that the front end is the wall, as `scripts/make_checkpoints FOLDER tiny-llama` makes it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from load import Exchange, connect, paced, post
from msgspec import Struct, field, to_builtins
from pinned import Pinned

TOKENS = 128
LOADING_SECONDS = 600
ENGINE = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024, "max_num_seqs": 256}
# For hosts without a GPU; one with a GPU does not look at them.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


class Figures(Struct):
    """One server at one width: a value a round. Rates in tokens a second, times in ms, CPU in seconds of the front
    end's process for 1000 tokens."""

    server: str
    streams: int
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    errors: int = 0


def ours(model: str, folder: Path, name: str, beat: float) -> Pinned:
    engine = "\n".join(f"{key} = {json.dumps(value)}" for key, value in ENGINE.items())
    config = folder / f"{name}.toml"
    config.write_text(
        f'[server]\ngrace = 0.0\nlog_format = "json"\n[models.m]\nbackend = "vllm"\nmodel = {json.dumps(model)}\n'
        f"options = {{ beat = {beat} }}\n[models.m.engine]\n{engine}\n"
    )
    return Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], folder / f"{name}.log")


def theirs(model: str, folder: Path) -> Pinned:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port), "--model", model]
    command += ["--served-model-name", "m", "--enforce-eager", "--dtype", "float32", "--disable-uvicorn-access-log"]
    command += ["--max-model-len", str(ENGINE["max_model_len"]), "--max-num-seqs", str(ENGINE["max_num_seqs"])]
    return Pinned(command, folder / "theirs.log", patience=LOADING_SECONDS)


def chat(number: int) -> bytes:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": f"Write a long story about the number {number}."}],
        "max_tokens": TOKENS,
        "stream": True,
        "ignore_eos": True,
        "temperature": 0,
        "stream_options": {"include_usage": True},
    }
    return post("/v1/chat/completions", json.dumps(body).encode())


async def ready(server: Pinned) -> None:
    """Wait until the model answers."""
    end = time.monotonic() + LOADING_SECONDS
    while time.monotonic() < end:
        [client] = await connect(server.port, 1)
        answer = await client.ask(chat(0))
        client.transport.close()
        if written(answer) == TOKENS:
            return
        if b"data: [DONE]" in answer.raw:
            raise SystemExit(f"the model does not answer: {answer.raw.decode()[-500:]}")
        await asyncio.sleep(1)
    raise SystemExit(f"the model did not become ready:\n{server.log.read_text()[-2000:]}")


def written(answer: Exchange) -> int:
    """The completion tokens that a stream's usage tells; 0 for a stream that went wrong."""
    events = answer.events() if answer.succeeded() else []
    if len(events) < 2 or events[-1] != b"[DONE]":
        return 0
    usage = json.loads(events[-2]).get("usage") or {}
    return int(usage.get("completion_tokens", 0))


async def take(server: Pinned, figures: Figures, number: int) -> None:
    """One round: all streams at once, over new connections."""
    clients = await connect(server.port, figures.streams)
    cpu, begun = server.cpu(), time.perf_counter()
    answers = await paced(clients, chat(number), 0.0)
    took, used = time.perf_counter() - begun, server.cpu() - cpu
    for client in clients:
        client.transport.close()
    counts = [written(answer) for answer in answers]
    figures.errors += sum(count != TOKENS for count in counts)
    figures.cpu.append(used * 1000 / max(1, sum(counts)))
    figures.rate.append(sum(counts) / took)
    figures.first.append(statistics.median((answer.first - answer.sent) * 1000 for answer in answers))
    figures.events.append(sum(len(answer.events()) for answer in answers) / max(1, sum(counts)))


async def measure(servers: dict[str, Pinned], widths: list[int], rounds: int) -> list[Figures]:
    """Rounds of all servers in turns, so that what else the machine does meets them alike."""
    for server in servers.values():
        await ready(server)
    found: list[Figures] = []
    for width in widths:
        rows = {name: Figures(name, width) for name in servers}
        for number in range(rounds + 1):
            for name, server in servers.items():
                # The first round only warms up.
                await take(server, rows[name] if number else Figures(name, width), number)
        found += rows.values()
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder")
    parser.add_argument("--widths", type=int, nargs="+", default=[1, 64], metavar="N", help="streams at once")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when an answer was wrong."""
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    servers: dict[str, Pinned] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            servers["vLLM's own"] = theirs(arguments.model, folder)
            servers["ours"] = ours(arguments.model, folder, "ours", 0.02)
            servers["ours, beat 0"] = ours(arguments.model, folder, "plain", 0.0)
            found = uvloop.run(measure(servers, arguments.widths, arguments.rounds))
        finally:
            for server in servers.values():
                server.stop()
    if arguments.json:
        print(json.dumps(to_builtins(found), indent=1))
    else:
        show(found)
    return int(any(case.errors for case in found))


def show(found: list[Figures]) -> None:
    columns = ("CPU s/1000 tok", "tok/s", "first ms", "events/tok")
    print(f"{'server':16}{'streams':>8}" + "".join(f"{column:>16}" for column in columns) + f"{'errors':>8}")
    for case in found:
        values = [statistics.median(each) for each in (case.cpu, case.rate, case.first, case.events)]
        shown = f"{values[0]:16.4f}{values[1]:16.0f}{values[2]:16.1f}{values[3]:16.2f}"
        print(f"{case.server:16}{case.streams:8}{shown}{case.errors:8}")
    sys.stdout.flush()
