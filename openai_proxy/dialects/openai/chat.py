"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time

from backends import Model
from backends.errors import Unsupported
from backends.events import Outcome
from backends.requests import ChatRequest
from openai_proxy.config import Limits
from openai_proxy.decode import Given, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.answers import completed, identity
from openai_proxy.dialects.openai.chat_body import REFUSED, TOOLS, ChatBody
from openai_proxy.dialects.openai.chat_frames import ChatFrames
from openai_proxy.dialects.openai.checks import able, served_model
from openai_proxy.dialects.openai.constraints import constraint
from openai_proxy.dialects.openai.messages import messages
from openai_proxy.dialects.openai.sampling import extra, includes_usage, sampling
from openai_proxy.dialects.openai.tools import tools
from openai_proxy.errors import InvalidRequest
from openai_proxy.wire import Incoming, Reply, Stream


class Chat:
    """Answers chats."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply | Stream:
        body, fields = await decode(incoming.body, ChatBody)
        limits = self.edge.config.limits
        served = served_model(self.edge.router, body.model, "chat", limits)
        incoming.note_model(served.name)
        request = chat_request(body, fields, served.name, served.model, limits)
        include_usage = includes_usage(body)
        if body.stream:
            frames = ChatFrames(identity("chatcmpl-"), int(time.time()), request.model, include_usage)
            return Stream(self.edge.router.run(request), frames)
        return Reply(await self._whole(request))

    async def _whole(self, request: ChatRequest) -> bytes:
        outcome = await Outcome.of(self.edge.router.run(request))
        return completed(identity("chatcmpl-"), int(time.time()), request.model, outcome)


def chat_request(body: ChatBody, fields: Given, name: str, model: Model, limits: Limits) -> ChatRequest:
    """The body as the engine is asked. Raises InvalidRequest, Unsupported and their kin, each naming the field."""
    for name in fields & REFUSED.keys():
        raise Unsupported(REFUSED[name], param=name)
    if body.modalities is not None and body.modalities != ["text"]:
        raise Unsupported("This server answers a chat with text only.", param="modalities")
    given, choice = ((), "none") if fields.isdisjoint(TOOLS) else tools(body, model, limits)
    if body.reasoning_effort is not None:
        able(model, "reasoning_effort")
    wanted = constraint(body, fields, model, limits)
    if wanted is not None and choice not in ("none", "auto"):
        raise InvalidRequest("tool_choice that forces a call excludes a response format.", param="tool_choice")
    return ChatRequest(
        model=name,
        messages=messages(body.messages, limits),
        sampling=sampling(
            body, fields, model, limits, constraint=wanted, logprobs=_alternatives(body), max_tokens=_most_tokens(body)
        ),
        tools=given,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning_effort=body.reasoning_effort,
        extra=extra(body, fields),
    )


def _alternatives(body: ChatBody) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("top_logprobs is only allowed when logprobs is true.", param="top_logprobs")
    return (body.top_logprobs or 0) if body.logprobs else None


def _most_tokens(body: ChatBody) -> int | None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise InvalidRequest("max_tokens and max_completion_tokens cannot both be set.", param="max_completion_tokens")
    return body.max_completion_tokens or body.max_tokens
