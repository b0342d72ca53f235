"""The backend `llama_cpp`: one model, one engine process, one door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, assert_never

from msgspec import Struct, structs

from backends import KINDS, Kind, Model, Setup, State, scores
from backends.constraints import constraint
from backends.constraints.compiler import Compiler
from backends.errors import LoadFailed, OtherKind
from backends.events import Event
from backends.fetching import fetched
from backends.life import Life
from backends.llama_cpp import completion, tokens
from backends.llama_cpp.chat import Template, converse
from backends.llama_cpp.child import Load
from backends.llama_cpp.client import Client
from backends.llama_cpp.defaults import filled
from backends.llama_cpp.embedding import embed
from backends.llama_cpp.link import Link
from backends.llama_cpp.options import CONTEXT, SLOTS, Options
from backends.llama_cpp.sampling import check_tokens
from backends.process import Process
from backends.quarantine import Quarantine
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    ScoreRequest,
    SpeechRequest,
    TokenizeRequest,
    TranscriptionRequest,
)
from backends.weights import DESCRIPTIONS

TEXT = frozenset(
    [
        "choice",
        "echo",
        "frequency_penalty",
        "grammar",
        "ignore_eos",
        "json_object",
        "json_schema",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "regex",
        "repetition_penalty",
        "seed",
        "stop",
        "temperature",
        "token_prompts",
        "tools",
        "top_k",
        "top_p",
    ]
)
EMBEDDING = frozenset({"dimensions", "token_prompts", "truncate_prompt_tokens"})
TALKS: frozenset[Kind] = frozenset({"chat", "completion", "tokenize"})
EMBEDS: frozenset[Kind] = frozenset({"embedding", "score", "tokenize"})


class _Meta(Struct, frozen=True):
    n_vocab: int | None = None
    n_ctx_train: int | None = None
    n_embd: int | None = None


class _Entry(Struct, frozen=True):
    meta: _Meta | None = None


class _Models(Struct, frozen=True):
    data: tuple[_Entry, ...] = ()


class _Settings(Struct, frozen=True):
    n_ctx: int | None = None


class _Properties(Struct, frozen=True):
    default_generation_settings: _Settings = _Settings()
    chat_template: str = ""
    chat_template_caps: dict[str, Any] = {}


class LlamaCpp:
    """A GGUF model. Options: `backends.llama_cpp.options.Options`."""

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("llama_cpp")
        self.options = Options.read(setup.name, setup.options)
        self.slots = setup.slots or SLOTS
        self.model = Model(
            kinds=EMBEDS if self.options.embedding else TALKS,
            parameters=EMBEDDING if self.options.embedding else TEXT,
            modalities=frozenset({"image"}) if self.options.mmproj is not None else frozenset(),
            description=DESCRIPTIONS.get(self.options.weights or "", ""),
        )
        self._life = Life(setup.changed)
        self._weights = Path()
        self._projector = ""
        self._compiler = Compiler()
        self._template = Template()
        self._quarantine = Quarantine()
        self._process = Process(lambda: Link(self._load(self._weights)), self._life, self._quarantine.died)

    @property
    def state(self) -> State:
        return self._life.state

    @property
    def pid(self) -> int | None:
        """The engine's process."""
        return self._process.pid

    async def start(self) -> None:
        """Fetch weights that are not there yet, load them, and learn what the model can."""
        self._weights = await self._found()
        if self.options.mmproj is not None:
            self._projector = str(await asyncio.to_thread(_existing, self.options.mmproj))
        await self._process.start()
        try:
            await self._learn(self._process.link.client)
        except BaseException:
            await self._process.close()
            raise

    async def close(self) -> None:
        await self._process.close()
        await self._compiler.close()

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; closing it early closes the engine's work on it."""
        if KINDS[type(request)] not in self.model.kinds:
            raise OtherKind
        request = filled(request, self.options)
        client = self._process.link.client
        with self._quarantine.running(request):
            async with aclosing(self._answer(client, request)) as events:
                async for event in events:
                    yield event

    async def _answer(self, client: Client, request: Request) -> AsyncGenerator[Event, None]:
        match request:
            case ChatRequest():
                check_tokens(request.sampling, self.model.vocabulary)
                events = converse(client, self._compiler, self.model, self._template, request)
            case CompletionRequest():
                check_tokens(request.sampling, self.model.vocabulary)
                completion.check_empty(request)
                grammar = await constraint.grammar(self._compiler, request.sampling.constraint)
                events = completion.complete(client, self.model, request, grammar)
            case EmbeddingRequest():
                events = embed(client, self.model, request)
            case ScoreRequest():
                events = scores.compare(request, partial(embed, client, self.model))
            case TokenizeRequest():
                events = tokens.tokenize(client, self._template, request)
            case DetokenizeRequest():
                events = tokens.detokenize(client, self.model, request)
            case TranscriptionRequest() | SpeechRequest() | ImageRequest():
                raise OtherKind
            case _:
                assert_never(request)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _found(self) -> Path:
        """The model's file, fetched if it is an embedded one that is not there. Raises OSError."""
        options = self.options
        if options.path is not None:
            return await asyncio.to_thread(_existing, options.path)
        return await fetched(options.weights or "", options.home, options.wheels, self._life)

    def _load(self, path: Path) -> Load:
        return Load(
            path=str(path),
            mmproj=self._projector,
            socket="",
            key="",
            slots=self.slots,
            threads=self.options.cores,
            batch=self.options.batch,
            context=self.options.context or (512 if self.options.embedding else CONTEXT),
            embedding=self.options.embedding,
            chat_template=self.options.template(),
            gpu_layers=self.options.gpu_layers,
            flash_attention=self.options.flash_attention,
            cache_type=self.options.cache_type,
        )

    async def _learn(self, client: Client) -> None:
        models = await client.get("/v1/models", _Models)
        meta = (models.data[0].meta if models.data else None) or _Meta()
        properties = await client.get("/props", _Properties)
        caps = properties.chat_template_caps
        self._template = Template(
            tools=bool(caps.get("supports_tools")),
            effort=bool(caps.get("supports_reasoning_effort")),
            thinking="enable_thinking" in properties.chat_template,
        )
        thinks = self._template.effort or self._template.thinking
        trained = meta.n_ctx_train
        if trained is not None and (self.options.context or 0) > trained:
            raise LoadFailed(f"The option context is {self.options.context}; the model knows at most {trained} tokens.")
        context = properties.default_generation_settings.n_ctx
        self.model = structs.replace(
            self.model,
            parameters=self.model.parameters | ({"reasoning_effort"} if thinks else set()),
            context=min(filter(None, (context, trained)), default=None),
            vocabulary=meta.n_vocab,
            dimensions=meta.n_embd if self.options.embedding else None,
        )


def _existing(path: str) -> Path:
    file = Path(os.path.expanduser(path))
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {file}")
    return file
