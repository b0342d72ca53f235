"""Chats: n answers to one conversation, with tools and constraints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from backends import Model
from backends.choices import tools
from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.choices.messages import messages
from backends.constraints import constraint
from backends.constraints.compile import Job
from backends.constraints.compiler import Compiler
from backends.errors import ContextExceeded
from backends.events import Event
from backends.length import check_chat, exceeded
from backends.llama_cpp import pieces, sampling
from backends.llama_cpp.client import Client
from backends.requests import ChatRequest, Tool


class Template(Struct, frozen=True):
    """What the model's chat template knows: tools, an effort of reasoning, a switch for thinking."""

    tools: bool = False
    effort: bool = False
    thinking: bool = False


class Way(Struct, frozen=True):
    """How tools are used in a request: by the template itself (`native`), or by our grammar and scanner."""

    tools: tuple[Tool, ...] = ()
    native: bool = False
    forced: bool = False
    many: bool = False

    @classmethod
    def of(cls, request: ChatRequest, template: Template) -> Way:
        able = tools.permitted(request)
        if not able:
            return cls()
        if tools.is_forced(request):
            return cls(able, forced=True, many=tools.several(request))
        # The engine cannot combine a grammar of ours with its own for tools.
        native = template.tools and request.sampling.constraint is None
        return cls(able, native=native, many=request.parallel_tool_calls is not False)

    @property
    def ours(self) -> bool:
        return bool(self.tools) and not self.native


async def converse(
    client: Client, compiler: Compiler, model: Model, template: Template, request: ChatRequest
) -> AsyncGenerator[Event, None]:
    """The events of a chat."""
    check_chat(request, model)
    way = Way.of(request, template)
    grammar = await _grammar(compiler, request, way)
    counts = [Counts() for _ in range(request.sampling.n)]
    streams = []
    for index, count in enumerate(counts):
        body = _body(
            request, template, way, sampling.fields(request.sampling, request.extra, choice=index, grammar=grammar)
        )
        plan = Plan(
            index,
            request.sampling,
            tools.scanner(way.tools, forced=way.forced, many=way.many) if way.ours else None,
            json=constraint.is_json(request.sampling.constraint),
        )
        streams.append(choice(pieces.chat(client, body, request.sampling.logprobs or 0), plan, count))
    try:
        async with aclosing(merge(streams)) as merged:
            async for event in merged:
                yield event
    except ContextExceeded as error:
        raise exceeded(model, "messages") from error
    yield usage(counts, request.sampling.n)


async def _grammar(compiler: Compiler, request: ChatRequest, way: Way) -> str:
    wanted = request.sampling.constraint
    if not way.ours:
        return await constraint.grammar(compiler, wanted)
    forced = way.forced
    text = tools.forced_grammar(way.tools, way.many) if forced else tools.free_grammar(way.tools, wanted, way.many)
    return await compiler.grammar(Job("lark", text), "tools")


def _body(request: ChatRequest, template: Template, way: Way, fields: dict[str, Any]) -> dict[str, Any]:
    about = tools.description(way.tools, forced=way.forced, many=way.many) if way.ours else ""
    body: dict[str, Any] = {
        "messages": messages(request.messages, knows_tools=template.tools, about_tools=about),
        "stream": True,
        "timings_per_token": True,
        "max_tokens": -1 if request.sampling.max_tokens is None else request.sampling.max_tokens,
        **fields,
    }
    if request.sampling.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, request.sampling.logprobs)}
    if way.native:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters or {"type": "object", "properties": {}},
                },
            }
            for tool in way.tools
        ]
        body["parallel_tool_calls"] = way.many
    if request.reasoning_effort is not None:
        body["chat_template_kwargs"] = _thinking(request.reasoning_effort, template)
    return body


def _thinking(effort: str, template: Template) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if template.effort:
        made["reasoning_effort"] = effort
    if template.thinking:
        made["enable_thinking"] = effort not in ("none", "minimal")
    return made
