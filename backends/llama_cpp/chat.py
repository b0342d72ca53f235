"""Chats: n answers to one conversation, with tools and constraints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from backends import Model
from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.choices.messages import messages
from backends.choices.tools import function
from backends.choices.way import Way
from backends.constraints import constraint
from backends.constraints.compiler import Compiler
from backends.errors import ContextExceeded
from backends.events import Event
from backends.length import check_chat, exceeded
from backends.llama_cpp import pictures, pieces, sampling
from backends.llama_cpp.client import Client
from backends.requests import ChatRequest


class Template(Struct, frozen=True):
    """What the model's chat template knows: tools, an effort of reasoning, a switch for thinking."""

    tools: bool = False
    effort: bool = False
    thinking: bool = False


async def converse(
    client: Client, compiler: Compiler, model: Model, template: Template, request: ChatRequest
) -> AsyncGenerator[Event, None]:
    """The events of a chat."""
    check_chat(request, model)
    contents = await pictures.contents(request.messages)
    way = Way.of(request, able=template.tools)
    grammar = await way.grammar(compiler, request)
    counts = [Counts() for _ in range(request.sampling.n)]
    streams = []
    for index, count in enumerate(counts):
        asked = body(
            request,
            template,
            way,
            sampling.fields(request.sampling, request.extra, choice=index, grammar=grammar),
            contents,
        )
        plan = Plan(
            index,
            request.sampling,
            way.scanner(),
            json=constraint.is_json(request.sampling.constraint),
        )
        streams.append(choice(pieces.chat(client, asked, request.sampling.logprobs or 0), plan, count))
    try:
        async with aclosing(merge(streams)) as merged:
            async for event in merged:
                yield event
    except ContextExceeded as error:
        raise exceeded(model, "messages") from error
    yield usage(counts, request.sampling.n)


def body(
    request: ChatRequest,
    template: Template,
    way: Way,
    fields: dict[str, Any],
    contents: pictures.Contents | None = None,
) -> dict[str, Any]:
    """A chat as the engine is asked; `fields` say how to sample, and `contents` what messages with pictures hold."""
    made: dict[str, Any] = {
        "messages": messages(
            request.messages, knows_tools=template.tools, about_tools=way.description, contents=contents
        ),
        "stream": True,
        "timings_per_token": True,
        "max_tokens": -1 if request.sampling.max_tokens is None else request.sampling.max_tokens,
        **fields,
    }
    if request.sampling.logprobs is not None:
        made |= {"logprobs": True, "top_logprobs": max(1, request.sampling.logprobs)}
    if way.native:
        made["tools"] = [function(tool) for tool in way.tools]
        made["parallel_tool_calls"] = way.many
    if request.reasoning_effort is not None:
        made["chat_template_kwargs"] = _thinking(request.reasoning_effort, template)
    return made


def _thinking(effort: str, template: Template) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if template.effort:
        made["reasoning_effort"] = effort
    if template.thinking:
        made["enable_thinking"] = effort not in ("none", "minimal")
    return made
