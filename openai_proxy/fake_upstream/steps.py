"""An answer as steps on a connection: bytes to write, seconds to wait, and how it ends.

Faults are steps too, so that one function (`Connection.advance`) plays good and bad answers alike. 0.0 waits one turn
of the event loop: what comes before it and after it leaves in two writes.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator
from typing import TypeAlias, TypeGuard

from openai_proxy.fake_upstream.answers import HTML, Stream, Whole, error, page, reason
from openai_proxy.fake_upstream.faults import NONE, Fault
from openai_proxy.fake_upstream.requests import Order
from openai_proxy.fake_upstream.script import HUGE, Script
from openai_proxy.fake_upstream.streams import Body, events


class Ending(enum.Enum):
    """What becomes of the connection: it serves on, is closed, is reset, or stays open and silent."""

    KEEP = enum.auto()
    CLOSE = enum.auto()
    RESET = enum.auto()
    STALL = enum.auto()


Step: TypeAlias = bytes | float | Ending

BEFORE = {"reset-before": Ending.RESET, "close-before": Ending.CLOSE, "stall-before": Ending.STALL}
AFTER = {"reset-after": Ending.RESET, "close-after": Ending.CLOSE, "stall-after": Ending.STALL}
TRICKLE = 0.01
SHORT_BY = 100
FILLER = b"x-filler: " + b"a" * 1000 + b"\r\n"
BLANKS = b" " * 65536
LAST_CHUNK = b"0\r\n\r\n"


def steps(order: Order, answer: Whole | Stream) -> Iterator[Step]:
    """All of an answer, with the waits and the fault that the script wants."""
    script, fault = order.script, order.fault
    is_model = order.request.method == "POST"
    if wait := script.latency + script.first * is_model:
        yield wait
    if fault.name in BEFORE:
        yield BEFORE[fault.name]
        return
    answer = replaced(answer, script, fault)
    if isinstance(answer, Stream):
        body, length = events(answer, script, fault), None
    else:
        body, length = _sized(answer.body, fault)
    framed = length is None and order.request.chunked
    keep = _keeps(order) and (framed or length is not None) and fault.name != "bad-length"
    begin = head(order, answer, length, framed=framed, keep=keep)
    if fault.name == "endless-head":
        yield begin
        yield from itertools.cycle((FILLER, 0.0))
    yield from _apart(begin + b"\r\n", TRICKLE) if fault.name == "slow-head" else [begin + b"\r\n"]
    if script.pause and is_model:
        yield script.pause
    ending = AFTER.get(fault.name)
    yield from _bytewise(_chunked(body, whole=ending is None) if framed else body, fault)
    yield ending or (Ending.KEEP if keep else Ending.CLOSE)


def is_plain(answer: Whole | Stream, order: Order) -> TypeGuard[Whole]:
    """Whether nothing delays or spoils this answer."""
    script = order.script
    return not (isinstance(answer, Stream) or order.fault.name or script.latency or script.first or script.pause)


def plainly(order: Order, answer: Whole) -> tuple[Step, ...]:
    """The steps of a good answer of one body that nothing delays."""
    keep = _keeps(order)
    data = head(order, answer, len(answer.body), framed=False, keep=keep) + b"\r\n" + answer.body
    return data, Ending.KEEP if keep else Ending.CLOSE


def replaced(answer: Whole | Stream, script: Script, fault: Fault) -> Whole | Stream:
    """What is answered instead, if the fault is an answer of its own."""
    if fault.name == "status":
        return _error(script, fault)
    if fault.name == "wrong-type":
        return Whole(page(200), kind=HTML)
    if fault.name == "truncated-json" and isinstance(answer, Whole):
        return Whole(answer.body[: len(answer.body) // 2], answer.status, answer.kind)
    if fault.name == "bad-length" and isinstance(answer, Stream):
        body = b"".join(step for step in events(answer, script, NONE) if isinstance(step, bytes))
        return Whole(body, kind=answer.kind)
    return answer


def _error(script: Script, fault: Fault) -> Whole:
    status = fault.number
    if fault.html:
        return Whole(page(status), status, HTML)
    wait = script.retry_after if status in (429, 503) else None
    headers = () if wait is None else ((b"retry-after", b"%g" % wait),)
    return Whole(error(status, script.message or reason(status), script.code), status, headers=headers)


def head(order: Order, answer: Whole | Stream, length: int | None, *, framed: bool, keep: bool) -> bytes:
    """The head of an answer, but for its empty line."""
    status, kind = (200 if isinstance(answer, Stream) else answer.status), answer.kind
    lines = [b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n" % (status, reason(status).encode(), kind)]
    if length is not None:
        lines.append(b"content-length: %d\r\n" % length)
    elif framed:
        lines.append(b"transfer-encoding: chunked\r\n")
    if not keep:
        lines.append(b"connection: close\r\n")
    if isinstance(answer, Whole):
        lines += [b"%b: %b\r\n" % pair for pair in answer.headers]
    lines += [f"{name}: {value}\r\n".encode() for name, value in order.script.headers.items()]
    lines.append(b"x-upstream: %b\r\n" % order.name.encode())
    return b"".join(lines)


def _keeps(order: Order) -> bool:
    return order.request.keep and not order.script.close


def _sized(body: bytes, fault: Fault) -> tuple[Body, int | None]:
    """A body and the length that is told of it."""
    if fault.name == "endless-body":
        return itertools.chain([body[:-1]], itertools.cycle((BLANKS, 0.0))), None
    if fault.name == "huge-chunk":
        return iter([body, b" " * HUGE]), len(body) + HUGE
    if fault.name == "bad-length":
        return iter([body]), len(body) + SHORT_BY
    return iter([body[: fault.number] if fault.name in AFTER else body]), len(body)


def _chunked(body: Body, *, whole: bool) -> Body:
    """The chunked coding, a chunk for each write."""
    for step in body:
        if isinstance(step, float):
            yield step
        elif step:
            yield b"%x\r\n%b\r\n" % (len(step), step)
    if whole:
        yield LAST_CHUNK


def _bytewise(body: Body, fault: Fault) -> Body:
    if fault.name not in ("split", "trickle"):
        return body
    wait = TRICKLE if fault.name == "trickle" else 0.0
    return (part for step in body for part in (_apart(step, wait) if isinstance(step, bytes) else (step,)))


def _apart(data: bytes, wait: float) -> Body:
    """Each byte alone."""
    for byte in data:
        yield bytes((byte,))
        yield wait
