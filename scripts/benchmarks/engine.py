"""The embedded models over HTTP: tokens a second and time to the first token, at several streams at once."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from load import Client, Exchange, closed_loop, connect, paced, post
from msgspec import Struct, to_builtins
from pinned import Pinned

WIDTHS = (1, 4, 8)
TOKENS = 64
TEXTS = 32
LOADING_SECONDS = 600


class Figures(Struct):
    """One case: rate in tokens (or texts) a second, times in ms, all as medians over repetitions."""

    case: str
    rate: float
    ttft_p50: float
    ttft_max: float
    errors: int


async def ready(server: Pinned) -> float:
    """Wait until the default model answers; how many seconds that took."""
    begun = time.monotonic()
    while time.monotonic() - begun < LOADING_SECONDS:
        [client] = await connect(server.port, 1)
        answer = await client.ask(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        client.transport.close()
        if answer.succeeded():
            return time.monotonic() - begun
        await asyncio.sleep(0.2)
    raise SystemExit("the models did not become ready")


def _chat(number: int) -> bytes:
    body = {
        "messages": [{"role": "user", "content": f"Write a long story about the number {number}."}],
        "max_tokens": TOKENS,
        "stream": True,
        "ignore_eos": True,
        "stream_options": {"include_usage": True},
    }
    return post("/v1/chat/completions", json.dumps(body).encode())


def _embedding() -> bytes:
    texts = [f"The weather in town number {number} is fine." for number in range(TEXTS)]
    body = {"model": "text-embedding-3-small", "input": texts, "encoding_format": "base64"}
    return post("/v1/embeddings", json.dumps(body).encode())


def _written(answer: Exchange) -> int:
    """The completion tokens that a stream's usage tells; 0 for a stream that went wrong."""
    events = answer.events() if answer.succeeded() else []
    if len(events) < 2 or events[-1] != b"[DONE]":
        return 0
    return int(json.loads(events[-2])["usage"]["completion_tokens"])


async def _streams(server: Pinned, width: int, repetitions: int) -> Figures:
    rates: list[float] = []
    waits: list[float] = []
    errors = 0
    clients: list[Client] = await connect(server.port, width)
    for number in range(repetitions):
        begun = time.perf_counter()
        answers = await paced(clients, _chat(number), 0.0)
        took = time.perf_counter() - begun
        written = [_written(answer) for answer in answers]
        rates.append(sum(written) / took)
        waits += [(answer.first - answer.sent) * 1000 for answer in answers]
        errors += written.count(0)
    for client in clients:
        client.transport.close()
    return Figures(f"chat, {width} streams", statistics.median(rates), statistics.median(waits), max(waits), errors)


async def _embeddings(server: Pinned, repetitions: int) -> Figures:
    clients = await connect(server.port, 1)
    begun = time.perf_counter()
    answers = await closed_loop(clients, _embedding(), repetitions)
    took = time.perf_counter() - begun
    clients[0].transport.close()
    waits = [(answer.ended - answer.sent) * 1000 for answer in answers]
    errors = sum(not answer.succeeded() for answer in answers)
    rate = TEXTS * len(answers) / took
    return Figures(f"embeddings, {TEXTS} texts", rate, statistics.median(waits), max(waits), errors)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


async def _measure(server: Pinned, repetitions: int) -> list[Figures]:
    print(f"port open after {server.started:.2f} s, models ready after {await ready(server):.2f} s", file=sys.stderr)
    found = [await _streams(server, width, repetitions) for width in WIDTHS]
    return [*found, await _embeddings(server, repetitions)]


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when an answer was wrong."""
    with tempfile.TemporaryDirectory() as name:
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0"], Path(name, "log"))
        try:
            found = uvloop.run(_measure(server, arguments.repetitions))
        finally:
            server.stop()
    if arguments.json:
        print(json.dumps(to_builtins(found), indent=1))
    else:
        print(f"{'case':24}{'rate/s':>10}{'first ms':>10}{'worst ms':>10}{'errors':>8}")
        for case in found:
            print(f"{case.case:24}{case.rate:10.1f}{case.ttft_p50:10.1f}{case.ttft_max:10.1f}{case.errors:8}")
    return int(any(case.errors for case in found))
