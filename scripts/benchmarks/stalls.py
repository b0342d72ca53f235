"""Another client's stream: how much later than their beat its tokens come while other work is done."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from figures import percentile
from msgspec import Struct

CHAT = "/v1/chat/completions"
BEAT, BEATS = 0.01, 600
PATIENCE = 600


class Stall(Struct):
    """How much later than its beat a token came at most, and 99 of 100 at most, in ms."""

    case: str
    worst: float
    p99: float


def asked(port: int, body: bytes, path: str = CHAT) -> http.client.HTTPResponse:
    """The answer, which may still be on its way. Raises SystemExit unless it is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the server answered {answer.status}: {answer.read()[:300]!r}")
    return answer


def read(port: int, body: bytes, path: str = CHAT) -> bytes:
    """The whole answer. Raises SystemExit unless it is 200."""
    return asked(port, body, path).read()


def stall(port: int, model: str, case: str, work: Sequence[Callable[[threading.Event], object]]) -> Stall:
    """The delays of a stream of the echo model `model` from when this work begins, one second after the stream did.

    Each work has a thread and is told when the stream has ended. Raises what it raises.
    """
    ended = threading.Event()
    others: list[Future[object]] = []
    times: list[float] = []
    begun = time.monotonic()
    with ThreadPoolExecutor(len(work) or 1) as threads:
        for line in asked(port, _beats(model)):
            if line.startswith(b"data: {"):
                times.append(time.monotonic())
            if work and not others and times and times[-1] > begun + 1:
                del times[:-1]
                others = [threads.submit(each, ended) for each in work]
        ended.set()
    for other in others:
        other.result()
    late = [max(0.0, after - before - BEAT) * 1000 for before, after in itertools.pairwise(times)]
    return Stall(case, round(max(late), 1), round(percentile(late, 0.99), 1))


def _beats(model: str) -> bytes:
    script: dict[str, Any] = {"text": "word " * BEATS, "delay": BEAT}
    messages = [{"role": "user", "content": "x"}]
    return json.dumps({"model": model, "messages": messages, "script": script, "stream": True}).encode()
