"""What arrived, and what became of it: the answer of `GET /fake/seen`."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from msgspec import Struct

from openai_proxy.fake_upstream.requests import Request

# Characters of a body, and clients that left, which are remembered.
BODY = 262_144
ABORTED = 10_000
# Probes come all the time: they are counted alone.
UNREMEMBERED = frozenset({"/health", "/metrics"})


class Record(Struct):
    """A request and the size of its body; `began` and `ended` are of the monotonic clock, `writes` those of its answer.

    `end` is "running", "answered" (well or badly, to its end), "cut" (closed or reset by a fault or by `down`), or
    "aborted" (the client left).
    """

    request: Request
    size: int
    connection: int
    began: float
    fault: str
    ended: float | None = None
    end: str = "running"
    writes: int = 0
    has_slot: bool = False

    def told(self) -> dict[str, Any]:
        request = self.request
        return {
            "number": request.number,
            "connection": self.connection,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
            "body": request.body.decode(errors="replace"),
            "size": self.size,
            "fault": self.fault,
            "began": self.began,
            "ended": self.ended,
            "end": self.end,
            "writes": self.writes,
        }


class Aborted(Struct):
    """A client that left: when that was noticed, `after` seconds since its request came whole, and `writes`."""

    number: int
    path: str
    at: float
    after: float
    writes: int


class Seen:
    """Counts since the start or the last reset; `kept` is how many requests are remembered whole."""

    def __init__(self, kept: int) -> None:
        self.records: deque[Record] = deque(maxlen=kept)
        self.aborted: deque[Aborted] = deque(maxlen=ABORTED)
        self.ends: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.opened = 0

    def clear(self) -> None:
        self.records.clear()
        self.aborted.clear()
        self.opened = 0
        for counter in (self.ends, self.paths, self.faults):
            counter.clear()

    def begin(self, request: Request, connection: int, fault: str) -> Record:
        """Remember a request, but not all of a large body."""
        self.paths[request.path] += 1
        if fault:
            self.faults[fault] += 1
        record = Record(request, len(request.body), connection, time.monotonic(), fault)
        request.body = request.body[:BODY]
        if request.path not in UNREMEMBERED:
            self.records.append(record)
        return record

    def end(self, record: Record, end: str) -> None:
        record.ended, record.end = time.monotonic(), end
        self.ends[end] += 1
        if end == "aborted":
            after = record.ended - record.began
            self.aborted.append(Aborted(record.request.number, record.request.path, record.ended, after, record.writes))

    def told(self, last: int | None) -> dict[str, Any]:
        """Counts, clients that left and the last requests (all that are remembered for None)."""
        records = list(self.records)
        shown = records if last is None else records[max(0, len(records) - last) :]
        return {
            "now": time.monotonic(),
            "requests": self.paths.total(),
            "opened": self.opened,
            "answered": self.ends["answered"],
            "cut": self.ends["cut"],
            "paths": self.paths,
            "faults": self.faults,
            "aborted": list(self.aborted),
            "last": [record.told() for record in shown],
        }
