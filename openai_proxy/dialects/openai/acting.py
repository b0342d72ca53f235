"""An action over passages -> the events of one answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from msgspec import structs

from backends.events import Delta, Event, Finish, Usage, total
from backends.requests import ChatRequest, CompletionRequest, Request
from openai_proxy.cut import within
from openai_proxy.dialects import Edge
from openai_proxy.documents.actions import Extract, Query, Reader, Summarize
from openai_proxy.documents.passage import Passage
from openai_proxy.h2ogpt.actions import action_of, passages_of
from openai_proxy.h2ogpt.wish import Wish
from openai_proxy.served import Served
from openai_proxy.turn import estimate
from openai_proxy.wire import Frames

DATA = b"data: {"


class Acting:
    """Does what a client wished. `sources` are the passages that the answer is from, once it has begun."""

    def __init__(
        self, edge: Edge, wish: Wish, request: ChatRequest | CompletionRequest, served: Served, owner: str
    ) -> None:
        self.edge = edge
        self.wish = wish
        self.owner = owner
        self.request = structs.replace(request, form=None, seconds=None)
        self.seconds = request.seconds
        self.reader = Reader(self.request, served, self._run)
        self.action = action_of(wish)
        self.usages: list[Usage] = []
        self.sources: Sequence[Passage] = ()

    def events(self) -> AsyncGenerator[Event, None]:
        """The answer, in the time that the client gave it."""
        events = self._answered()
        if self.seconds is None:
            return events
        return within(events, self.request, self.seconds, estimate(self.request))

    async def _answered(self) -> AsyncGenerator[Event, None]:
        passages = await passages_of(self.wish, self.edge.documents, self.owner)
        answer = self._extracted(passages) if isinstance(self.action, Extract) else self._told(self.action, passages)
        async with aclosing(answer) as events:
            async for event in events:
                yield event
        yield total(self.usages)

    async def _told(self, action: Query | Summarize, passages: Sequence[Passage]) -> AsyncGenerator[Event, None]:
        prepared = await action.prepared(self.reader, passages)
        self.sources = prepared.sources
        async with aclosing(self._run(self.reader.request(prepared.prompt))) as events:
            async for event in events:
                if type(event) is not Usage:
                    yield event

    async def _extracted(self, passages: Sequence[Passage]) -> AsyncGenerator[Event, None]:
        """One answer a passage, as Python writes a list of texts: h2oGPT's clients read it so."""
        assert isinstance(self.action, Extract)
        self.sources = passages
        before = "["
        async with aclosing(self.action.answers(self.reader, passages)) as answers:
            async for answer in answers:
                yield Delta(before + repr(answer))
                before = ", "
        yield Delta("[]" if before == "[" else "]")
        yield Finish("stop")

    async def _run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Ask the model, and count what that takes."""
        async with aclosing(self.edge.router.run(request)) as events:
            async for event in events:
                if type(event) is Usage:
                    self.usages.append(event)
                yield event

    def told(self, body: bytes) -> bytes:
        """A whole answer, with its sources."""
        return b"{" + self.field() + body[1:]

    def field(self) -> bytes:
        """The sources, to be put before other fields."""
        return b'"sources":' + msgspec.json.encode([shown(each) for each in self.sources]) + b","


class SourcedFrames:
    """The frames of an answer, the first with its sources."""

    def __init__(self, frames: Frames, acting: Acting) -> None:
        self.frames = frames
        self.acting = acting
        self._begun = False

    def render(self, event: Event) -> bytes:
        return self._first(self.frames.render(event))

    def end(self) -> bytes:
        return self.frames.end()

    def _first(self, frame: bytes) -> bytes:
        if self._begun or not frame.startswith(DATA):
            return frame
        self._begun = True
        return DATA + self.acting.field() + frame[len(DATA) :]


def shown(passage: Passage) -> dict[str, Any]:
    """A source as h2oGPT's clients know it, and its page where there is one."""
    page = {} if passage.page is None else {"page": passage.page}
    return {"content": passage.text, "score": passage.score, "source": passage.source, **page}
