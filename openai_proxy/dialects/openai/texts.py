"""What chats and legacy completions have in common: the way from a body to a whole answer or a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct, structs

from backends import Model
from backends.events import Delta, Event, Outcome
from backends.requests import ChatRequest, CompletionRequest
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.checks import check_kind, model_of_kind
from openai_proxy.bodies.fetched import Found, with_pictures
from openai_proxy.bodies.fields import TextFields
from openai_proxy.bodies.sampling import includes_usage
from openai_proxy.config import Limits
from openai_proxy.decode import Foreign, Given, beside, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.acting import Acting, SourcedFrames
from openai_proxy.dialects.openai.answers import identity
from openai_proxy.dialects.openai.wished import ignored, is_wish, values, wished
from openai_proxy.h2ogpt.blame import blamed, blaming
from openai_proxy.h2ogpt.keys import HONOURED
from openai_proxy.h2ogpt.wish import Wish
from openai_proxy.served import Served
from openai_proxy.wire import Frames, Incoming, Reply, Stream

Body = TypeVar("Body", bound=TextFields)


async def without_reasoning(events: AsyncGenerator[Event]) -> AsyncGenerator[Event, None]:
    """The same events but for what the model thinks aloud."""
    async with aclosing(events):
        async for event in events:
            if type(event) is not Delta or not event.reasoning:
                yield event
            elif event.text or event.tool is not None or event.logprobs is not None:
                yield structs.replace(event, reasoning="")


class Texts(Struct, Generic[Body], frozen=True, kw_only=True):
    """Answers one kind of request for text.

    `translate` makes the engine's request of a body and the names of the fields it sets; `frames` renders a stream and
    `completed` a whole answer, both given the answer's id, its time in Unix seconds and the model.
    """

    edge: Edge
    kind: Literal["chat", "completion"]
    prefix: str
    body: type[Body]
    translate: Callable[[Body, Given, str, Model, Limits], ChatRequest | CompletionRequest]
    frames: Callable[[str, int, str, bool], Frames]
    completed: Callable[[str, int, str, Outcome], bytes]

    async def __call__(self, incoming: Incoming) -> Reply | Stream:
        try:
            body, fields = await decode(incoming.body, self.body, is_wish, HONOURED)
        except Foreign:
            pass
        else:
            return await self._answer(incoming, body, fields)
        return await self._wished(incoming, await values(incoming.body))

    async def _wished(self, incoming: Incoming, given: Mapping[str, Any]) -> Reply | Stream:
        """Answer an h2oGPT client."""
        wish, written = wished(self.edge, given, self.kind)
        with blamed(wish.names):
            body, fields = await decode(written, self.body)
            answer = await self._answer(structs.replace(incoming, body=written), body, fields, wish)
        if isinstance(answer, Stream) and wish.names:
            answer = structs.replace(answer, events=blaming(answer.events, wish.names))
        return structs.replace(answer, headers=(*answer.headers, *ignored(wish)))

    async def _answer(self, incoming: Incoming, body: Body, fields: Given, wish: Wish | None = None) -> Reply | Stream:
        limits = self.edge.config.limits
        served, name = model_of_kind(self.edge.router, body.model, self.kind, limits)
        incoming.note_model(served.name)
        found: Found = {}
        request = await self._request(incoming, body, fields, found, served, name)
        include_usage = includes_usage(body)
        frames = partial(self.frames, identity(self.prefix), int(time.time()), request.model, include_usage)
        if wish is not None and wish.action is not None:
            return await self._acted(Acting(self.edge, wish, request, served, incoming.caller.name), body, frames)
        events = self.edge.router.run(request, partial(self._for_another, incoming, body, fields, found))
        if "include_reasoning" in fields and isinstance(body, ChatBody) and not body.include_reasoning:
            events = without_reasoning(events)
        if body.stream:
            return Stream(events, frames())
        return Reply(self._whole(await Outcome.of(events), request.model))

    async def _acted(self, acting: Acting, body: Body, frames: Callable[[], Frames]) -> Reply | Stream:
        """Answer over passages."""
        if body.stream:
            return Stream(acting.events(), SourcedFrames(frames(), acting))
        return Reply(acting.told(self._whole(await Outcome.of(acting.events()), acting.request.model)))

    def _whole(self, outcome: Outcome, model: str) -> bytes:
        if outcome.relayed is not None:
            return outcome.relayed
        return self.completed(identity(self.prefix), int(time.time()), outcome.model or model, outcome)

    async def _for_another(
        self, incoming: Incoming, body: Body, fields: Given, found: Found, served: Served
    ) -> ChatRequest | CompletionRequest:
        """The same request for another model. Raises InvalidRequest or Unsupported where it cannot take that."""
        check_kind(served, self.kind)
        return await self._request(incoming, body, fields, found, served, served.name)

    async def _request(
        self, incoming: Incoming, body: Body, fields: Given, found: Found, served: Served, name: str
    ) -> ChatRequest | CompletionRequest:
        limits = self.edge.config.limits
        request = await beside(incoming.body, self.translate, body, fields, name, served.model, limits)
        if isinstance(request, ChatRequest):
            owner = incoming.caller.name
            request = await with_pictures(request, served, self.edge.fetcher, limits, found, owner)
        return structs.replace(request, repeatable=True) if incoming.repeatable else request
