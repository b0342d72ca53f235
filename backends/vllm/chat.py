"""Chats: n answers to one conversation, with tools, reasoning and constraints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.choices.messages import messages
from backends.choices.way import Way
from backends.constraints import constraint
from backends.constraints.compiler import Compiler
from backends.events import Event
from backends.length import check_chat
from backends.requests import ChatRequest
from backends.vllm import outputs, prompts, sampling
from backends.vllm.loaded import Loaded, Template
from backends.vllm.reading import Reader


def shown(way: Way, template: Template) -> bool:
    """Whether the template tells the model of its tools: for calls in its own markup, and for forced ones."""
    return way.native or (way.forced and template.tools)


def about(way: Way, template: Template) -> str:
    """What a system message tells instead."""
    return "" if shown(way, template) else way.description


async def render(
    loaded: Loaded, request: ChatRequest, way: Way, *, special: bool = False
) -> tuple[prompts.Rendered, dict[str, Any]]:
    """What the model reads, and what its template was told. `special`: the tokenizer adds its own tokens."""
    template = loaded.template or Template()
    conversation = messages(request.messages, knows_tools=template.tools, about_tools=about(way, template))
    values = prompts.template_values(request, template, way.tools if shown(way, template) else ())
    return await prompts.chat(loaded, conversation, values, special=special), values


async def converse(loaded: Loaded, compiler: Compiler, request: ChatRequest) -> AsyncGenerator[Event, None]:
    """The events of a chat."""
    check_chat(request, prompts.model_of(loaded))
    way = Way.of(request, able=loaded.reads_tools)
    grammar = await way.grammar(compiler, request)
    rendered, values = await render(loaded, request, way)
    prompts.check_fits(rendered, loaded, "messages")
    counts = [Counts() for _ in range(request.sampling.n)]
    streams = []
    for index, count in enumerate(counts):
        reader = None
        if way.native or loaded.reasons:
            reader = Reader(loaded, rendered, values, way.tools if way.native else (), many=way.many)
        streams.append(_one(loaded, request, way, rendered, grammar, reader, index, count))
    async with aclosing(merge(streams)) as merged:
        async for event in merged:
            yield event
    yield usage(counts, request.sampling.n)


def _one(
    loaded: Loaded,
    request: ChatRequest,
    way: Way,
    rendered: prompts.Rendered,
    grammar: str,
    reader: Reader | None,
    index: int,
    counts: Counts,
) -> AsyncGenerator[Event, None]:
    wanted = request.sampling
    json = constraint.is_json(wanted.constraint)
    simple = reader is None and not way.ours and not json and wanted.logprobs is None
    work = outputs.Work(
        index,
        rendered,
        sampling.parameters(
            loaded,
            wanted,
            request.extra,
            choice=index,
            room=loaded.context - prompts.length(rendered),
            grammar=grammar,
            stops=simple,
            special=reader is not None and reader.special,
        ),
        loaded.adapters.get(request.model),
    )
    if simple:
        return outputs.plain(loaded, work, counts)
    plan = Plan(index, wanted, way.scanner(), json=json)
    return choice(outputs.pieces(loaded, work, reader, wanted.logprobs), plan, counts)
