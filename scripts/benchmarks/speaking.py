"""The embedded voice over HTTP, beside calling its library in this process: first sound, real-time factor, memory.

In turns, so that what else the machine does meets both alike.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from engine import ready
from figures import Line, compared
from load import post
from msgspec import Struct, field
from pinned import Pinned

CONFIG = '[server]\ngrace = 0.0\n[models.hibari]\nbackend = "hibari"\n'
SENTENCE = "The quick brown fox jumps over the lazy dog."
TEXT = (
    "The old lighthouse stood at the end of the bay. In 1969, three men flew to the moon and came back. "
    "She bought seven apples, two pears and a loaf of bread for $12.50. Nobody had expected the letter. "
    "When the rain stopped, the children ran outside to play until it was dark. That was all there was to say."
)
RATE, WIDTH = 24_000, 2
AT_ONCE = 8
# Milliseconds, on an idle machine.
FIRST = 150.0


class Timed(Struct):
    """One answer: ms until its first sound (0: not known), and how many seconds of work a second of sound took."""

    first: float
    factor: float


class Case(Struct):
    """A case's rounds: of the server, and of the library at the same time."""

    name: str
    must: float | None = None
    ours: list[Timed] = field(default_factory=list)
    direct: list[Timed] = field(default_factory=list)

    def lines(self) -> list[Line]:
        """The wait is bounded as it is; for what the whole costs the library is the measure."""
        ours, direct = self.ours, self.direct
        first = Line(self.name, "first sound", "ms", statistics.median(each.first for each in ours), must=self.must)
        if all(each.first for each in direct):
            first.bare = statistics.median(each.first for each in direct)
        factors = [each.factor for each in ours], [each.factor for each in direct]
        return [first, compared(self.name, "real-time factor", "1", *factors)]


async def asked(port: int, text: str, format: str, seconds: float | None) -> Timed:
    """One request over a new connection. `seconds` of sound, None for those of its samples. Raises SystemExit."""
    body = {"model": "hibari", "voice": "heart", "input": text, "response_format": format}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun, first, size = time.perf_counter(), 0.0, 0
    writer.write(post("/v1/audio/speech", json.dumps(body).encode(), "connection: close\r\n"))
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise SystemExit(f"no speech: {head[:200]!r} {(await reader.read())[:500]!r}")
    while piece := await reader.read(1 << 16):
        first = first or time.perf_counter()
        size += len(piece)
    ended = time.perf_counter()
    writer.close()
    return Timed((first - begun) * 1000, (ended - begun) / (seconds or size / WIDTH / RATE))


def direct(voice: Any, text: str) -> tuple[Timed, float]:
    """The library alone, and how many seconds it said."""
    begun, first, samples = time.perf_counter(), 0.0, 0
    for piece in voice.stream(text):
        first = first or time.perf_counter()
        samples += len(piece)
    seconds = samples / RATE
    return Timed((first - begun) * 1000, (time.perf_counter() - begun) / seconds), seconds


async def alone(server: Pinned, voice: Any, rounds: int) -> list[Case]:
    """One request at a time; the first of each only warms up."""
    found = []
    for name, text, format in (
        ("sentence, pcm", SENTENCE, "pcm"),
        ("text, pcm", TEXT, "pcm"),
        ("text, mp3", TEXT, "mp3"),
    ):
        case = Case(name, FIRST)
        for number in range(rounds + 1):
            plain, seconds = direct(voice, text)
            timed = await asked(server.port, text, format, seconds)
            if number:
                case.ours.append(timed)
                case.direct.append(plain)
        found.append(case)
    return found


async def together(server: Pinned, voice: Any, rounds: int) -> Case:
    """Eight requests at once; the library says the eight one after the other."""
    case = Case(f"text, {AT_ONCE} at once")
    for _ in range(rounds):
        begun = time.perf_counter()
        seconds = sum(direct(voice, TEXT)[1] for _ in range(AT_ONCE))
        case.direct.append(Timed(0.0, (time.perf_counter() - begun) / seconds))
        begun = time.perf_counter()
        answers = await asyncio.gather(*(asked(server.port, TEXT, "pcm", 1.0) for _ in range(AT_ONCE)))
        took = time.perf_counter() - begun
        case.ours.append(Timed(statistics.median(answer.first for answer in answers), took / seconds))
    return case


def memory() -> float:
    """This process's, in kB."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * 4


def loaded() -> tuple[Any, float, float]:
    """The library's voice, the seconds that took and the kB."""
    before, begun = memory(), time.perf_counter()
    from importlib import import_module

    make: Callable[..., Any] = import_module("hibari").Hibari
    voice = make(threads=1)
    voice("One, two.")
    return voice, time.perf_counter() - begun, memory() - before


async def measure(server: Pinned, rounds: int) -> list[Line]:
    loading = await ready(server)
    voice, seconds, size = loaded()
    lines = [Line("one process", "loaded", "s", loading, seconds)]
    for case in await alone(server, voice, rounds):
        lines += case.lines()
    lines.append(
        Line("one process", "memory, with the engine's process", "MB", server.memory_together() / 1000, size / 1000)
    )
    lines += (await together(server, voice, max(1, rounds // 3))).lines()
    return [
        *lines,
        Line(f"after {AT_ONCE} at once", "memory, with the engine's process", "MB", server.memory_together() / 1000),
    ]


def lines(rounds: int) -> list[Line]:
    """All figures."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "config.toml")
        config.write_text(CONFIG)
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(name, "log"))
        try:
            return uvloop.run(measure(server, rounds))
        finally:
            server.stop()
