"""The faults that a script can name."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

FAULTS = {
    "reset-before": "reset the connection before any byte",
    "close-before": "close the connection before any byte",
    "stall-before": "say nothing, keep the connection",
    "reset-after-N": "reset after N chunks of a stream, or N bytes of another body",
    "close-after-N": "the same, with a clean end of the connection",
    "stall-after-N": "the same, but say nothing more and keep the connection",
    "pings-after-N": "after N chunks of a stream nothing but comments, 50 ms apart, without end",
    "trickle": "the body byte by byte, 10 ms apart",
    "slow-head": "the head byte by byte, 10 ms apart",
    "status-NNN": "an error of OpenAI's shape with this status (400 to 599); 429 and 503 bring Retry-After",
    "status-NNN-html": "the same as a page for people",
    "status-NNN-detail": "the same in FastAPI's shape",
    "wrong-type": "200 with a page where an event stream or JSON was due",
    "malformed-sse": "halfway, an event that is not JSON and a line that is no field",
    "not-utf8": "halfway in a stream, or in another body, a byte in a text that is not UTF-8",
    "truncated-json": "an event, or the body, that stops in the middle of its JSON",
    "error-event": "halfway, an error object, then the end without [DONE]",
    "error-event-done": "the same with [DONE], as vLLM does",
    "no-done": "no [DONE]",
    "no-usage": "no usage, though it was asked for",
    "duplicate-usage": "the usage event twice",
    "early-usage": "the usage event before the first chunk",
    "huge-chunk": "halfway, an event of 10 MB; another body is filled up with blanks",
    "endless-head": "header lines without end",
    "endless-body": "chunks without end",
    "bad-length": "a Content-Length of 100 bytes more than come before the connection closes",
    "split": "every byte in a write of its own",
    "merged": "the whole body in one write",
    "crlf": "lines of the event stream end with CR LF",
    "comments": "a comment before each event of the stream",
}
NUMBERED = re.compile(r"(reset|close|stall|pings)-after-(\d{1,9})")
STATUS = re.compile(r"status-([45]\d\d)(?:-(html|detail))?")


class Fault(NamedTuple):
    """`number` is the N of "reset-after-N" and the like, whose `name` is "reset-after", or a status.

    `shape` is that of the status' body: OpenAI's if empty.
    """

    name: str
    number: int = 0
    shape: str = ""


NONE = Fault("")


@functools.cache
def known() -> frozenset[str]:
    return frozenset(name for name in FAULTS if "N" not in name)


def fault(text: str | None) -> Fault:
    """The fault of this name, NONE without one. Raises ValueError."""
    if not text or text == "none":
        return NONE
    if text in known():
        return Fault(text)
    if found := NUMBERED.fullmatch(text):
        return Fault(f"{found[1]}-after", int(found[2]))
    if found := STATUS.fullmatch(text):
        return Fault("status", int(found[1]), found[2] or "")
    raise ValueError(f"there is no fault {text[:50]!r}; known are {', '.join(FAULTS)}")
