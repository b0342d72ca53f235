"""What a started engine is and knows: its parts, its sizes, what its chat template can do."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from backends import Kind, Modality
from backends.vllm import compat
from backends.vllm.compat import Library
from backends.vllm.engine import Engine
from backends.vllm.families import template_text
from backends.vllm.options import Options
from backends.vllm.pace import Pace
from backends.vllm.pairs import Pairs
from backends.vllm.speech import Speech

GENERATE, EMBED, CLASSIFY, TRANSCRIBE = "generate", "embed", "classify", "transcription"
DECODED_AT_ONCE = 4
MODALITIES: tuple[Modality, ...] = ("image", "audio")
# What is the server's to say to the functions that apply a template; `documents` alone is the client's.
RESERVED = frozenset(
    {"messages", "conversation", "tools", "chat_template", "tokenize", "add_generation_prompt", "tokenizer_kwargs"}
    | {"continue_final_message", "padding", "truncation", "max_length", "return_tensors", "return_dict"}
    | {"return_assistant_tokens_mask", "tool_choice", "response_format", "conversations", "self", "args", "kwargs"}
)
# Templates differ in the name.
SWITCHES = ("enable_thinking", "thinking")


class Template(Struct, frozen=True):
    """The chat template: `text` only if it replaces the model's own, and what values it asks for.

    `switches` are those that turn thinking on and off; `reserved` are names that no client may set.
    """

    text: str | None = None
    tools: bool = False
    effort: bool = False
    switches: tuple[str, ...] = ()
    reserved: frozenset[str] = RESERVED

    @classmethod
    def of(cls, given: str | None, tokenizer: Any, renderer: Any = None) -> Template | None:
        """None for a model that has no template, and so cannot chat."""
        text = given or template_text(tokenizer)
        if not text:
            return None
        switches = tuple(name for name in SWITCHES if re.search(rf"{{[%{{][^}}]*\b{name}\b", text))
        reserved = RESERVED | _parameters(compat.appliers(tokenizer, renderer))
        return cls(given, "tools" in text, "reasoning_effort" in text, switches, reserved)


def _parameters(appliers: Iterable[Callable[..., Any]]) -> frozenset[str]:
    """What the functions that apply the template take, beside values for the template."""
    names = itertools.chain.from_iterable(inspect.signature(apply).parameters for apply in appliers)
    return frozenset(names) - {"documents"}


class Loaded(Struct, frozen=True, kw_only=True):
    """`client` is vLLM's AsyncLLM. `context` and `vocabulary` are in tokens, `defaults` the model's own sampling.

    `parser` is the class that reads tool calls (`reads_tools`) and reasoning, None when nothing has to be read;
    `adapters` are vLLM's LoRARequests by name; `budgets` tells whether the engine can end a model's thinking. `widths`
    are the dimensions an embedding may be cut to, any if there are none; `pairs` makes a cross-encoder's prompts, None
    for other models. `media` is how many of each modality one prompt may hold, `speech` how the model listens if it
    transcribes; `decoding` is held by chats whose pictures are pixels.
    """

    library: Library
    client: Any
    pace: Pace
    kinds: frozenset[Kind]
    context: int
    vocabulary: int
    dimensions: int | None = None
    widths: frozenset[int] = frozenset()
    pairs: Pairs | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None
    template: Template | None = None
    parser: Any = None
    reads_tools: bool = False
    reasons: bool = False
    adapters: Mapping[str, Any] = field(default_factory=dict)
    budgets: bool = False
    media: Mapping[Modality, int] = field(default_factory=dict)
    speech: Speech | None = None
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DECODED_AT_ONCE))


async def learn(engine: Engine, options: Options, template: str | None, adapters: Mapping[str, Any]) -> Loaded:
    """Ask a new engine what it can do."""
    client, library = engine.built, engine.library
    config = client.model_config
    tasks = await client.get_supported_tasks()
    tokenizer = client.renderer.tokenizer
    own = Template.of(template, tokenizer, client.renderer) if GENERATE in tasks else None
    # A template that knows no tools leaves them to our own way.
    tools = engine.tools if own is not None and own.tools else None
    scores = compat.scoring_task(config, tasks)
    speech = Speech.of(library, config, tokenizer) if TRANSCRIBE in tasks else None
    return Loaded(
        library=library,
        client=client,
        pace=Pace(options.beat),
        kinds=_kinds(tasks, own, scores, speech),
        context=config.max_model_len,
        vocabulary=config.get_vocab_size(),
        dimensions=config.embedding_size if EMBED in tasks else None,
        widths=frozenset(config.matryoshka_dimensions or ()),
        pairs=Pairs(client, template) if scores == CLASSIFY else None,
        defaults=config.get_diff_sampling_param() if GENERATE in tasks or speech else {},
        tokenizer=tokenizer,
        template=own,
        parser=_parser(library, tools, engine.reasoning, config.model),
        reads_tools=tools is not None,
        reasons=engine.reasoning is not None,
        adapters=adapters,
        budgets=bool(getattr(getattr(client.vllm_config, "reasoning_config", None), "enabled", False)),
        media=_media(client) if GENERATE in tasks else {},
        speech=speech,
    )


def _kinds(
    tasks: Sequence[str], template: Template | None, scores: str | None, speech: Speech | None
) -> frozenset[Kind]:
    kinds: set[Kind] = {"tokenize"}
    if EMBED in tasks:
        kinds.add("embedding")
    if scores is not None:
        kinds.add("score")
    if GENERATE in tasks:
        kinds |= {"completion"} if template is None else {"chat", "completion"}
    if speech is not None:
        kinds.add("transcription")
    return frozenset(kinds)


def _media(client: Any) -> dict[Modality, int]:
    processor = client.renderer.mm_processor
    limits = {} if processor is None else processor.info.allowed_mm_limits
    return {modality: limits[modality] for modality in MODALITIES if limits.get(modality)}


def _parser(library: Library, tools: str | None, reasoning: str | None, model: str) -> Any:
    if tools is None and reasoning is None:
        return None
    return library.ParserManager.get_parser(
        tool_parser_name=tools,
        reasoning_parser_name=reasoning,
        enable_auto_tools=tools is not None,
        model_name=model,
    )
