"""One choice: the engine's pieces -> events, with our own stop strings, call scanning and counting."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Protocol

import msgspec
from msgspec import Struct

from backends.choices.piece import Piece
from backends.errors import EngineFailed
from backends.events import Delta, Event, Finish, TokenLogprob, ToolDelta, Usage
from backends.requests import Sampling
from backends.stop import StopMatcher


class Scanner(Protocol):
    """Finds tool calls in text. `called` tells whether there was one."""

    called: bool

    def feed(self, text: str) -> list[str | ToolDelta]: ...

    def flush(self) -> list[str | ToolDelta]: ...


class Plan(Struct, frozen=True):
    """How to read the choice `index`: `json` answers are checked to be JSON before they are called complete.

    `keep_stop` leaves the stop string in the text.
    """

    index: int
    sampling: Sampling
    scanner: Scanner | None = None
    json: bool = False
    keep_stop: bool = False


class Counts(Struct):
    """Tokens of one choice; filled while it runs."""

    prompt: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    def take(self, piece: Piece) -> None:
        if piece.reasoning:
            self.reasoning += max(0, piece.written - self.written)
        self.prompt = max(self.prompt, piece.prompt)
        self.cached = max(self.cached, piece.cached)
        self.written = max(self.written, piece.written)


async def choice(pieces: AsyncGenerator[Piece, None], plan: Plan, counts: Counts) -> AsyncGenerator[Event, None]:
    """The events of one choice, its Finish last. A stop string ends the engine's work at once."""
    reader = _Reader(plan)
    async with aclosing(pieces):
        async for piece in pieces:
            counts.take(piece)
            for event in reader.take(piece):
                yield event
            if reader.stopped:
                break
    for event in reader.end():
        yield event


def usage(counts: list[Counts], choices: int) -> Usage:
    """The usage of a request whose every prompt was read once for all of its `choices`."""
    firsts = counts[::choices]
    return Usage(
        prompt=sum(count.prompt for count in firsts),
        completion=sum(count.written for count in counts),
        cached=sum(count.cached for count in firsts),
        reasoning=sum(count.reasoning for count in counts),
    )


class _Reader:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stopped = False
        # A stop string inside a tool call would leave half a call; there only the schema ends it.
        stops = plan.sampling.stop
        self._matcher = StopMatcher(stops, keep=plan.keep_stop) if stops else None
        self._entries: deque[tuple[int, TokenLogprob]] = deque()
        self._fed = 0
        self._released = 0
        self._reason: str | None = None
        self._whole: list[str] | None = [] if plan.json else None
        self._called = False

    def take(self, piece: Piece) -> Iterator[Event]:
        if piece.reason is not None:
            self._reason = piece.reason
        if piece.reasoning:
            yield Delta(index=self.plan.index, reasoning=piece.reasoning)
        for tool in piece.tools:
            self._called = True
            yield Delta(index=self.plan.index, tool=tool)
        if piece.text or piece.logprobs:
            yield from self._text(piece)

    def _text(self, piece: Piece) -> Iterator[Event]:
        if self.plan.scanner is not None:
            yield from self._scanned(self.plan.scanner.feed(piece.text))
            return
        self._entries.extend((self._fed, entry) for entry in piece.logprobs)
        self._fed += len(piece.text)
        yield from self._release(piece.text)

    def _scanned(self, found: list[str | ToolDelta]) -> Iterator[Event]:
        for item in found:
            if isinstance(item, ToolDelta):
                self._called = True
                yield Delta(index=self.plan.index, tool=item)
            elif not self.stopped:
                yield from self._release(item)

    def _release(self, text: str) -> Iterator[Event]:
        if self._matcher is not None:
            text, self.stopped = self._matcher.feed(text)
        yield from self._delta(text)

    def _delta(self, text: str) -> Iterator[Event]:
        """Text that is certain, with the entries of the tokens that begin in it or before it."""
        self._released += len(text)
        entries = []
        while self._entries and (self._entries[0][0] < self._released or self._fed == self._released):
            entries.append(self._entries.popleft()[1])
        if self._whole is not None:
            self._whole.append(text)
        if text or entries:
            with_entries = tuple(entries) if self.plan.sampling.logprobs is not None else None
            yield Delta(text, self.plan.index, logprobs=with_entries)

    def end(self) -> Iterator[Event]:
        """What was held back, then Finish. Raises EngineFailed when the engine broke off."""
        if not self.stopped:
            if self._reason is None:
                raise EngineFailed
            if self.plan.scanner is not None:
                yield from self._scanned(self.plan.scanner.flush())
            if self._matcher is not None and not self.stopped:
                yield from self._delta(self._matcher.flush())
        reason = "stop" if self.stopped or self._reason is None else self._reason
        if reason == "length":
            yield Finish("length", self.plan.index)
            return
        self._check_json()
        yield Finish("tool_calls" if self._called else "stop", self.plan.index)

    def _check_json(self) -> None:
        """The engine drops a constraint that outgrows its limits without a word; that must not pass for success."""
        if self._whole is None or self.stopped or self._called:
            return
        try:
            msgspec.json.decode("".join(self._whole))
        except msgspec.DecodeError as error:
            raise EngineFailed("The engine broke the format that was asked for.") from error
