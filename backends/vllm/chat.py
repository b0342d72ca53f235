"""Chats: n answers to one conversation, with tools, reasoning and constraints."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct

from backends.choices import tools
from backends.choices.choice import Counts, Plan, choice, usage
from backends.choices.merge import merge
from backends.choices.messages import messages
from backends.constraints import constraint
from backends.constraints.compile import Job
from backends.constraints.compiler import Compiler
from backends.events import Event
from backends.length import check_chat
from backends.requests import ChatRequest, Tool
from backends.vllm import outputs, prompts, sampling
from backends.vllm.loaded import Loaded, Template
from backends.vllm.reading import Reader


class Way(Struct, frozen=True):
    """How tools are used in a request: by the model's own markup (`native`), or by our grammar and scanner."""

    tools: tuple[Tool, ...] = ()
    native: bool = False
    forced: bool = False
    many: bool = False

    @classmethod
    def of(cls, request: ChatRequest, loaded: Loaded) -> Way:
        able = tools.permitted(request)
        if not able:
            return cls()
        if tools.is_forced(request):
            return cls(able, forced=True, many=tools.several(request))
        # A grammar of ours leaves no room for the model's own markup.
        native = loaded.reads_tools and request.sampling.constraint is None
        return cls(able, native=native, many=request.parallel_tool_calls is not False)

    @property
    def ours(self) -> bool:
        return bool(self.tools) and not self.native

    def shown(self, template: Template) -> bool:
        """Whether the template tells the model of its tools: for calls in its own markup, and for forced ones."""
        return self.native or (self.forced and template.tools)

    def about(self, template: Template) -> str:
        """What a system message tells instead."""
        if not self.tools or self.shown(template):
            return ""
        return tools.description(self.tools, forced=self.forced, many=self.many)

    async def grammar(self, compiler: Compiler, request: ChatRequest) -> str:
        """Tried and ready for the engine; empty when the answer is free."""
        wanted = request.sampling.constraint
        if not self.ours:
            return await constraint.grammar(compiler, wanted)
        if self.forced:
            text = tools.forced_grammar(self.tools, self.many)
        else:
            text = tools.free_grammar(self.tools, wanted, self.many)
        return await compiler.grammar(Job("lark", text), "tools")


async def converse(loaded: Loaded, compiler: Compiler, request: ChatRequest) -> AsyncGenerator[Event, None]:
    """The events of a chat."""
    check_chat(request, prompts.model_of(loaded))
    way = Way.of(request, loaded)
    grammar = await way.grammar(compiler, request)
    template = loaded.template or Template()
    conversation = messages(request.messages, knows_tools=template.tools, about_tools=way.about(template))
    values = prompts.template_values(request, template, way.tools if way.shown(template) else ())
    rendered = await prompts.chat(loaded, conversation, values)
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
    scanner = tools.scanner(way.tools, forced=way.forced, many=way.many) if way.ours else None
    plan = Plan(index, wanted, scanner, json=json)
    return choice(outputs.pieces(loaded, work, reader, wanted.logprobs), plan, counts)
