"""Pictures that are drawn, and a picture of 8 MB that comes in with a chat.

Drawn: time for one, for each of four and for a step, memory, and how late another stream's tokens come while four
are always being drawn. Come in: CPU and milliseconds that our server adds before a server that is also asked directly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import relay
import uvloop
from engine import ready
from figures import Line, table
from gateways import AIOHTTP, BARE, LITELLM, ROUTER
from msgspec import Struct
from pinned import Pinned
from relay_rows import lines
from stalls import read, stall

from backends import resolve
from openai_proxy import default
from openai_proxy.config import ModelConfig

PARTS = ("drawn", "in")
GENERATIONS = "/v1/images/generations"
PROMPT = "a red apple on a table"
MOST_DELAY_MS = 50.0
AT_ONCE = 4
STEPS = (4, 12)
SAMPLE_SECONDS = 0.5
# Of the stream beside.
BEAT = "beat"


class Artist(Struct, frozen=True):
    """A model that draws."""

    port: int
    model: str
    size: str

    def drawn(self, **fields: Any) -> Any:
        """An answer. Raises SystemExit."""
        body = {"model": self.model, "prompt": PROMPT, "size": self.size, **fields}
        return json.loads(read(self.port, json.dumps(body).encode(), GENERATIONS))

    def draw(self, **fields: Any) -> float:
        """How many milliseconds a request took."""
        begun = time.perf_counter()
        self.drawn(**fields)
        return (time.perf_counter() - begun) * 1000

    def steps(self) -> bool:
        """Whether it says how many steps it takes, so that requests may."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models/{self.model}") as answer:
            return "steps" in json.load(answer)

    def draw_until(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.draw()

    def draw_at_once(self) -> float:
        """Milliseconds until as many requests are answered, all begun together."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for drawn in [threads.submit(self.draw) for _ in range(AT_ONCE)]:
                drawn.result()
        return (time.perf_counter() - begun) * 1000


class Peak:
    """The most memory that a server and what it started had, in MB, as far as that is seen."""

    def __init__(self, server: Pinned) -> None:
        self.megabytes = 0.0
        self._server = server
        self._over = threading.Event()

    def _look(self) -> None:
        while True:
            self.megabytes = max(self.megabytes, self._server.memory_together() / 1000)
            if self._over.wait(SAMPLE_SECONDS):
                return

    @contextmanager
    def watching(self) -> Iterator[None]:
        looking = threading.Thread(target=self._look)
        looking.start()
        try:
            yield
        finally:
            self._over.set()
            looking.join()


def models(file: Path | None) -> Mapping[str, Any]:
    """Those of a configuration that draw, by default of the embedded one; echo where there is none."""
    tree = default.tree() if file is None else tomllib.loads(file.read_text())
    found = {name: model for name, model in tree.get("models", {}).items() if _draws(name, model)}
    return found or {"echo": {"backend": "echo"}}


def _draws(name: str, model: Mapping[str, Any]) -> bool:
    setup = msgspec.convert(model, ModelConfig).setup(name)
    return "image" in resolve(model["backend"])(setup).model.kinds


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


def drawn(name: str, model: Mapping[str, Any], size: str, rounds: int) -> list[Line]:
    """All figures of one model, in a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        served = _toml({name: {**model, "load": "start"}, BEAT: {"backend": "echo"}})
        config.write_text(f"models = {served}\n[server]\ngrace = 0.0\n")
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(folder, "log"))
        try:
            uvloop.run(ready(server))
            peak = Peak(server)
            with peak.watching():
                found = list(_timed(Artist(server.port, name, size), rounds))
        finally:
            server.stop()
    return [*found, Line(found[0].case, "most memory, with the engine's process", "MB", peak.megabytes)]


def _timed(artist: Artist, rounds: int) -> Iterator[Line]:
    case = f"{artist.model}, {artist.drawn()['size']}"
    yield Line(case, "a picture", "ms", _median(artist.draw, rounds))
    yield Line(case, f"one of {AT_ONCE} of a request", "ms", _median(partial(artist.draw, n=AT_ONCE), rounds) / AT_ONCE)
    yield Line(case, f"one of {AT_ONCE} requests at once", "ms", _median(artist.draw_at_once, rounds) / AT_ONCE)
    if artist.steps():
        few, many = (_median(partial(artist.draw, num_inference_steps=steps), rounds) for steps in STEPS)
        yield Line(case, "a step", "ms", (many - few) / (STEPS[1] - STEPS[0]))
    alone = stall(artist.port, BEAT, "alone", [])
    beside = stall(artist.port, BEAT, "beside", [artist.draw_until] * AT_ONCE)
    text = f"another stream's delay, {AT_ONCE} drawn or none"
    yield Line(case, f"{text}, p99", "ms", beside.p99, alone.p99, None, MOST_DELAY_MS)
    yield Line(case, f"{text}, the most", "ms", beside.worst, alone.worst)


def _median(draw: Callable[[], float], rounds: int) -> float:
    return statistics.median(draw() for _ in range(rounds))


def come_in(repetitions: int) -> list[Line]:
    """A chat with a picture of 8 MB, to a server directly, through ours and through nginx."""
    cases = [case for case in relay.CASES if case.picture]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = relay.start(stack, Path(folder), [BARE, AIOHTTP, ROUTER, LITELLM])
        return lines(relay.speed(servers, cases, repetitions), {})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "part", nargs="?", choices=PARTS, help="pictures that are drawn, or that come in; both if absent"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="measure its models that draw, not the embedded one"
    )
    parser.add_argument("--only", nargs="+", metavar="MODEL", help="of them these")
    parser.add_argument("--size", default="auto", help="of the pictures")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a figure is not what it must be."""
    found: list[Line] = []
    if arguments.part != "in":
        for name, model in models(arguments.config).items():
            if not arguments.only or name in arguments.only:
                found += drawn(name, model, arguments.size, arguments.rounds)
    if arguments.part != "drawn":
        found += come_in(arguments.rounds)
    print(json.dumps(msgspec.to_builtins(found), indent=1) if arguments.json else table(found), flush=True)
    return int(any(line.verdict == "FAIL" for line in found))
