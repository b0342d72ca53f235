"""The rows of `relay`: which figure is compared with whose, what it must be and what it should be."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence, Set
from typing import Literal, TypeAlias

from figures import Line
from gateways import AIOHTTP, BARE, DIRECT, LITELLM, NGINX, OURS, ROUTER
from msgspec import Struct
from relay_cases import Run

Figure: TypeAlias = Literal["cpu", "time", "first", "last", "slowest", "late", "reads", "grown"]
Runs: TypeAlias = Mapping[tuple[str, str], Sequence[Run]]

BODY_KB = 8_200.0


class Memory(Struct):
    """Resident memory in kB: of an idle process, and what a held stream adds."""

    idle: float
    stream: float = 0.0
    errors: int = 0


class Row(Struct, frozen=True):
    """`how`: the ratio to the other's figure, ours alone, what ours adds to a direct request, or the ratio of what both
    add. Must and target are the most that it may be.
    """

    case: str
    text: str
    unit: str
    figure: Figure
    other: str
    must: float | None = None
    target: float | None = None
    how: Literal["ratio", "alone", "added", "ratio of added"] = "ratio"


CHUNK, REQUEST = "CPU a chunk", "CPU a request"
ROWS = (
    Row("paced64", CHUNK, "us", "cpu", NGINX, 2.4, 1.8),
    Row("paced64", CHUNK, "us", "cpu", AIOHTTP, 1.0, 0.75),
    Row("paced64", CHUNK, "us", "cpu", BARE),
    Row("paced64", CHUNK, "us", "cpu", ROUTER, target=1.3),
    Row("paced64", CHUNK, "us", "cpu", LITELLM, 1 / 15, 1 / 25),
    Row("paced64", "reads a chunk", "1", "reads", NGINX),
    Row("stream32", CHUNK, "us", "cpu", NGINX, 1.7, 1.25),
    Row("stream32", CHUNK, "us", "cpu", BARE),
    Row("stream32", CHUNK, "us", "cpu", ROUTER, target=0.7),
    Row("stream32", "reads a chunk", "1", "reads", NGINX),
    Row("stream32", "time a chunk", "us", "time", NGINX, 1 / 0.65, 1 / 0.9),
    Row("stream32", "time a chunk", "us", "time", ROUTER, target=1 / 1.4),
    Row("stream128", CHUNK, "us", "cpu", NGINX, 1.7, 1.25),
    Row("stream128", CHUNK, "us", "cpu", BARE),
    Row("stream128", CHUNK, "us", "cpu", ROUTER, target=0.7),
    Row("chat64", REQUEST, "us", "cpu", NGINX, 4.0, 2.2),
    Row("chat64", REQUEST, "us", "cpu", AIOHTTP, 1.0, 0.55),
    Row("chat64", REQUEST, "us", "cpu", BARE, target=1.15),
    Row("chat64", REQUEST, "us", "cpu", LITELLM, 1 / 30, 1 / 75),
    Row("chat64", "time a request", "us", "time", LITELLM, 1 / 30, 1 / 60),
    Row("chat64", "time a request", "us", "time", ROUTER, 1 / 0.25, 1 / 0.5),
    Row("chat1", "added p50", "ms", "last", DIRECT, 0.25, 0.15, "added"),
    Row("chat1", "added p50", "ms", "last", NGINX, None, 2.0, "ratio of added"),
    Row("chat1", "added p50", "ms", "last", AIOHTTP, None, 1.0, "ratio of added"),
    Row("first64", "first byte added p50", "ms", "first", AIOHTTP, None, 1.0, "ratio of added"),
    Row("first64", "first byte added p50", "ms", "first", DIRECT, 1.0, 1.0, "added"),
    Row("first64", "first byte added p50", "ms", "first", NGINX, None, 1.5, "ratio of added"),
    Row("paced256", "last chunk late p50, added", "ms", "late", DIRECT, 2.0, 0.3, "added"),
    Row("paced256", "time a chunk", "us", "time", DIRECT, 1 / 0.99, 1.0 / 0.999),
    Row("paced1000", "whole stream p50", "ms", "last", DIRECT, 2200, 2030, "alone"),
    Row("paced1000", "whole stream p99", "ms", "slowest", DIRECT, 3500, 2600, "alone"),
    Row("paced1000", CHUNK, "us", "cpu", NGINX),
    Row("image8m", REQUEST, "us", "cpu", NGINX, 5.0, 2.5),
    Row("image8m", REQUEST, "us", "cpu", ROUTER, target=0.5),
    Row("image8m", REQUEST, "us", "cpu", LITELLM, target=1 / 8),
    Row("image8m", "added p50", "ms", "last", DIRECT, how="added"),
    Row("image8m", "memory grown", "kB", "grown", NGINX, None, 5 * BODY_KB, "alone"),
    Row("embed2m", REQUEST, "us", "cpu", NGINX, 2500, 2500, "alone"),
    Row("embed2m", REQUEST, "us", "cpu", NGINX, target=1.0),
    Row("embed2m", REQUEST, "us", "cpu", BARE, target=1.2),
    Row("embed2m", REQUEST, "us", "cpu", LITELLM, target=1 / 180),
    Row("paced64, renamed", CHUNK, "us", "cpu", NGINX, 3.0, 2.0),
)


def lines(runs: Runs, memory: Mapping[str, Memory]) -> list[Line]:
    """The rows whose both sides ran."""
    found = [_line(row, runs) for row in ROWS if _ran(row, runs)]
    wrong = _wrong(runs, {OURS}) + sum(each.errors for each in memory.values())
    others = _wrong(runs, {name for _, name in runs} - {OURS})
    return [*found, *_held(memory), Line("all", "wrong or missing answers", "", wrong, others, None, 0, 0)]


def _wrong(runs: Runs, names: Set[str]) -> int:
    return sum(run.errors for (_, name), some in runs.items() if name in names for run in some)


def _ran(row: Row, runs: Runs) -> bool:
    sides = [OURS, row.other] + ([DIRECT] if "added" in row.how else [])
    return all((row.case, side) in runs for side in sides)


def _line(row: Row, runs: Runs) -> Line:
    ours, other = ([getattr(run, row.figure) for run in runs[row.case, side]] for side in (OURS, row.other))
    if "added" in row.how:
        base = [getattr(run, row.figure) for run in runs[row.case, DIRECT]]
        ours = [each - less for each, less in zip(ours, base, strict=True)]
        if row.how == "ratio of added":
            other = [each - less for each, less in zip(other, base, strict=True)]
    ratio = None
    if "ratio" in row.how:
        pairs = [(mine, theirs) for mine, theirs in zip(ours, other, strict=True) if theirs]
        ratio = statistics.median(mine / theirs for mine, theirs in pairs) if pairs else None
    text = f"{row.text}, {row.other}"
    middle, others = statistics.median(ours), statistics.median(other)
    return Line(row.case, text, row.unit, middle, others, ratio, row.must, row.target)


def _held(memory: Mapping[str, Memory]) -> list[Line]:
    if not memory:
        return []
    ours, bare = memory[OURS], memory.get(BARE, Memory(0.0))
    return [
        Line("idle", "RSS, bare relay", "kB", ours.idle, bare.idle, None, 120_000, 60_000),
        Line("1000 held streams", "RSS a stream, bare relay", "kB", ours.stream, bare.stream, None, 60, 25),
    ]
