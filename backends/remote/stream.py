"""A server's event stream, read by read: what may go on as it is, and what has to be looked at.

Each event is read far enough to know that it is JSON of the right shape, whether it ends a choice, is the usage or an
error; the text in it is skipped. What goes on are the very bytes that came, all whole events of one read together.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from backends.remote.chunks import Counted
from backends.remote.unreadable import NOT_UNDERSTOOD, Unreadable, check_utf8, is_utf8

LARGEST_EVENT = 4_000_000
BOM = b"\xef\xbb\xbf"


class Ended(Struct, frozen=True, gc=False):
    """A choice of a chunk, as far as it matters here."""

    finish_reason: str | None = None


class Glance(Struct, frozen=True, gc=False):
    """A chunk, as far as it matters here."""

    choices: list[Ended] | None = None
    model: str | None = None
    usage: Counted | None = None
    error: Any = None


OPENING, ENDING = b"data: {", b"}\n\n"
BETWEEN, BETWEEN_LINES = b"}\n\ndata: {", b"}\n{"
SHORTER = len(BETWEEN) - len(BETWEEN_LINES)
MODEL = re.compile(rb'("model"\s*:\s*)("(?:[^"\\]|\\.)*")')

glance = msgspec.json.Decoder(Glance).decode
glances = msgspec.json.Decoder(Glance).decode_lines
WRONG = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Stream:
    """One stream. `feed` it all that comes; `model` is what the client shall read as the model's name.

    `pieces` is how many events the last feed let through. `usage` is the last that was told and `usage_event` the event
    that told nothing else; `finished` counts ended choices, `done` says that the end mark or an error came, and `error`
    is what the server told in place of an event. `broken` is what is wrong after the events that `feed` gave last.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.pieces = 0
        self.finished = 0
        self.done = False
        self.usage: Counted | None = None
        self.usage_event = b""
        self.error: bytes | None = None
        self.broken: Unreadable | None = None
        self._rest = b""
        self._theirs = model
        self._spelling: tuple[bytes, bytes] | None = None

    def feed(self, data: bytes) -> bytes:
        """The events that are whole now, as they may go on. Raises Unreadable for what is no event of OpenAI's."""
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            data = self._plain(data)
        cut = data.rfind(b"\n\n") + 2
        if cut < 2:
            self._keep(data)
            return b""
        if cut == len(data):
            self._rest = b""
        else:
            self._keep(data[cut:])
            data = data[:cut]
        self.pieces = self._ordinary(data)
        return self._named(data if self.pieces else self._sifted(data))

    def _ordinary(self, data: bytes) -> int:
        """How many events these are if all are chunks with choices and nothing in them has to be seen to; 0 if not.

        One call reads them all, as lines. No line can end inside a value: between `}` and `{` it would have to be a
        comma. Nor can one hold two values, as there are as many as lines.
        """
        if self.done or not data.startswith(OPENING) or not data.endswith(ENDING) or not is_utf8(data):
            return 0
        lines = data.replace(BETWEEN, BETWEEN_LINES)
        count = (len(data) - len(lines)) // SHORTER + 1
        if lines.count(b"\n") != count + 1:
            return 0
        try:
            seen = glances(lines[6:])
        except WRONG:
            return 0
        theirs, finished = self._theirs, 0
        for each in seen:
            if not each.choices or each.usage is not None or (each.model != theirs and each.model is not None):
                return 0
            for choice in each.choices:
                if choice.finish_reason is not None:
                    finished += 1
        if len(seen) != count:
            return 0
        self.finished += finished
        return count

    def _sifted(self, data: bytes) -> bytes:
        """The events that may go on, looked at one by one."""
        events = data.split(b"\n\n")
        events.pop()
        kept: list[bytes] = []
        try:
            kept += map(self._look, events)
        except Unreadable as error:
            if not any(kept):
                raise
            self.broken = error
        if kept != events:
            kept = [event for event in kept if event]
            data = b"\n\n".join([*kept, b""])
        self.pieces = len(kept)
        return data

    def _named(self, data: bytes) -> bytes:
        """The same with our name of the model. In texts quotes are escaped: only the field can look like this."""
        return data if self._spelling is None else data.replace(*self._spelling)

    def _keep(self, rest: bytes) -> None:
        if len(rest) > LARGEST_EVENT:
            raise Unreadable("The server behind this model sent an event of unbounded length.")
        self._rest = rest

    def _plain(self, data: bytes) -> bytes:
        """The same with line feeds for line ends; a carriage return at the end may be half of one."""
        data = data.replace(b"\r\n", b"\n")
        half = data.endswith(b"\r")
        return data[:-1].replace(b"\r", b"\n") + b"\r" if half else data.replace(b"\r", b"\n")

    def _look(self, event: bytes) -> bytes:
        """The event as it may go on, nothing if it may not; what it says of the stream is noted."""
        check_utf8(event)
        if event[:6] != b"data: " or b"\n" in event:
            return self._look_twice(event)
        try:
            seen = glance(event[6:])
        except WRONG:
            return self._look_twice(event)
        if self.done:
            return b""
        if seen.usage is not None:
            self.usage = seen.usage
        if seen.model != self._theirs and seen.model is not None:
            self._learn(event, seen.model)
        if not seen.choices:
            return self._bare(event, seen)
        for choice in seen.choices:
            if choice.finish_reason is not None:
                self.finished += 1
        return self._named(event)

    def _look_twice(self, event: bytes) -> bytes:
        """The same for what is not one line of JSON."""
        straight = self._straight(event.removeprefix(BOM))
        if straight == event:
            raise Unreadable(NOT_UNDERSTOOD)
        return self._look(straight) if straight else b""

    def _bare(self, event: bytes, seen: Glance) -> bytes:
        """An event without choices."""
        if seen.error is not None:
            self.error = event[6:]
            self.done = True
            return b""
        if seen.usage is not None:
            self.usage_event = self._named(event) + b"\n\n"
            return b""
        if seen.choices is None:
            raise Unreadable(NOT_UNDERSTOOD)
        return event

    def _straight(self, event: bytes) -> bytes:
        """What is not one line of JSON as such a line: the end mark, comments, and fields that tell nothing here."""
        lines = [line for line in event.split(b"\n") if line]
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        if any(not line.startswith((b"data:", b":", b"event:", b"id:", b"retry:")) for line in lines):
            raise Unreadable(NOT_UNDERSTOOD)
        if not data:
            return b""
        if data == [b"[DONE]"]:
            self.done = True
            return b""
        # JSON that goes over several lines has no line feeds in its texts.
        return b"data: " + b" ".join(data)

    def _learn(self, event: bytes, model: str) -> None:
        """How the server spells its own name for the model in this stream, and what to put there."""
        self._theirs = model
        for found in MODEL.finditer(event):
            if msgspec.json.decode(found[2]) == model:
                self._spelling = (found[0], found[1] + msgspec.json.encode(self.model))
                return
