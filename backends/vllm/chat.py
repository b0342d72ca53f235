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
from backends.events import Delta, Event
from backends.length import check_chat
from backends.requests import ChatRequest
from backends.vllm import logprobs, outputs, parts, prompts, sampling
from backends.vllm.loaded import Loaded, Template
from backends.vllm.reading import Reader


def shown(way: Way, template: Template) -> bool:
    """Whether the template tells the model of its tools: for calls in its own markup, and for forced ones."""
    return way.native or (way.forced and template.tools)


def about(way: Way, template: Template) -> str:
    """What a system message tells instead."""
    return "" if shown(way, template) else way.description


async def render(
    loaded: Loaded, request: ChatRequest, way: Way, cut: prompts.Cut = prompts.WHOLE
) -> tuple[prompts.Rendered, dict[str, Any]]:
    """What the model reads, and what its template was told."""
    template = loaded.template or Template()
    values = prompts.template_values(request, template, way.tools if shown(way, template) else ())
    async with parts.contents(loaded, request.messages) as contents:
        conversation = messages(
            request.messages, knows_tools=template.tools, about_tools=about(way, template), contents=contents
        )
        param = prompts.TOLD if request.extra.get(prompts.TOLD) else "messages"
        return await prompts.chat(loaded, conversation, values, cut, param=param), values


async def converse(loaded: Loaded, compiler: Compiler, request: ChatRequest) -> AsyncGenerator[Event, None]:
    """The events of a chat."""
    cut = prompts.Cut.of(request.extra, request.sampling)
    check_chat(request, prompts.model_of(loaded, cut))
    way = Way.of(request, able=loaded.reads_tools)
    grammar = await way.grammar(compiler, request)
    rendered, values = await render(loaded, request, way, cut)
    prompts.check_fits(rendered, loaded, "messages")
    if request.extra.get("echo") and request.messages[-1].role == "assistant":
        for index in range(request.sampling.n):
            yield Delta(request.messages[-1].text, index)
    counts = [Counts() for _ in range(request.sampling.n)]
    streams = []
    for index, count in enumerate(counts):
        reader = None
        if way.native or loaded.reasons:
            tools = way.tools if way.native else ()
            special = not request.extra.get("skip_special_tokens", True)
            reader = Reader(loaded, rendered, values, tools, many=way.many, special=special)
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
    of_prompt = wanted.prompt_logprobs if index == 0 else None  # one prompt, told once
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
            of_prompt=of_prompt,
        ),
        loaded.adapters.get(request.model),
        priority=request.extra.get("priority", 0),
        heard=None if of_prompt is None else [],
        numbers=request.extra.get("return_tokens_as_token_ids", False),
    )
    if simple:
        events = outputs.plain(loaded, work, counts)
    else:
        keep = work.parameters.include_stop_str_in_output
        plan = Plan(index, wanted, way.scanner(), json=json, keep_stop=keep)
        events = choice(outputs.pieces(loaded, work, reader, wanted.logprobs), plan, counts)
    if work.heard is None:
        return events
    heard = work.heard
    return logprobs.after(events, lambda: [logprobs.of_prompt(index, places, of_prompt or 0) for places in heard])
