"""A stream's events with the waits between them, and the faults of their content."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

from openai_proxy.fake_upstream.answers import Stream, error, event, spoiled
from openai_proxy.fake_upstream.faults import Fault
from openai_proxy.fake_upstream.script import HUGE, Script

Body: TypeAlias = Iterator[bytes | float]

MALFORMED = b'data: {"id":"chatcmpl-1",choices\n\nthis line is no field\n\n'
BROKEN = "The engine broke in the middle of the answer."
COMMENT = b": a comment\n\n"
USAGES = {"no-usage": 0, "early-usage": 0, "duplicate-usage": 2}
CUTS = frozenset({"reset-after", "close-after", "stall-after", "pings-after"})
PAUSE = 0.05


def events(stream: Stream, script: Script, fault: Fault) -> Body:
    """The bytes of the body, a write each, and the seconds to wait between them."""
    body = _events(stream, script, fault)
    if fault.name in CUTS:
        cut = _cut(body, fault.number and fault.number + bool(stream.opening))
        return itertools.chain(cut, itertools.cycle((COMMENT, PAUSE))) if fault.name == "pings-after" else cut
    if fault.name == "crlf":
        return (step.replace(b"\n", b"\r\n") if isinstance(step, bytes) else step for step in body)
    if fault.name == "comments":
        return (COMMENT + step if isinstance(step, bytes) else step for step in body)
    if fault.name == "merged":
        return iter([b"".join(step for step in body if isinstance(step, bytes))])
    return body


def _events(stream: Stream, script: Script, fault: Fault) -> Body:
    if stream.opening:
        yield stream.opening
    if fault.name == "early-usage" and stream.usage:
        yield stream.usage
    middle, batch, delay = stream.chunks // 2, script.batch, script.delay
    endless = fault.name == "endless-body"
    for number in itertools.count(0, batch) if endless else range(0, stream.chunks, batch):
        if number:
            yield delay
        if fault.name and number <= middle < number + batch and (odd := _odd(stream, script, fault)):
            yield odd
            if fault.name.startswith("error-event"):
                return
        yield _batch(stream, number, number + batch if endless else min(number + batch, stream.chunks))
    yield stream.finish + stream.usage * USAGES.get(fault.name, 1) + (b"" if fault.name == "no-done" else stream.done)


def _batch(stream: Stream, begin: int, end: int) -> bytes:
    return stream.chunk(begin) if end - begin == 1 else b"".join(map(stream.chunk, range(begin, end)))


def _odd(stream: Stream, script: Script, fault: Fault) -> bytes:
    """What comes in the middle, if this fault puts something there."""
    match fault.name:
        case "malformed-sse":
            return MALFORMED
        case "not-utf8":
            return spoiled(stream.chunk(0))
        case "truncated-json":
            return stream.chunk(0)[:40] + b"\n\n"
        case "huge-chunk":
            return stream.chunk(HUGE)
        case "error-event":
            return event(error(500, script.message or BROKEN, script.code))
        case "error-event-done":
            return event(error(500, script.message or BROKEN, script.code)) + stream.done
    return b""


def _cut(body: Body, writes: int) -> Body:
    """As far as so many writes."""
    if writes == 0:
        return
    for step in body:
        yield step
        if isinstance(step, bytes):
            writes -= 1
            if writes == 0:
                return
