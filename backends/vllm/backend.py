"""The backend `vllm`: one model, one engine, one door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import assert_never

from msgspec import structs

import audio
from audio import Clip, wav
from backends import KINDS, Kind, Model, Setup, State
from backends.constraints.compiler import Compiler
from backends.errors import OtherKind, Unavailable
from backends.events import Event, Outcome
from backends.figures import Figure
from backends.quarantine import Quarantine
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    Sampling,
    ScoreRequest,
    SpeechRequest,
    TokenizeRequest,
    TranscriptionRequest,
)
from backends.vllm import adapters, arguments
from backends.vllm.chat import converse
from backends.vllm.completion import complete
from backends.vllm.embedding import embed
from backends.vllm.engine import Engine
from backends.vllm.figures import Figures
from backends.vllm.loaded import MODALITIES, Loaded, learn
from backends.vllm.options import Options
from backends.vllm.scoring import score
from backends.vllm.tokens import detokenize, tokenize
from backends.vllm.transcription import transcribe

SLOTS = 256
SLOTS_BY_PRIORITY = 1024
# Fields of the engine that differ from its own defaults: bars of its processes would cut through the log.
USUAL = {"use_tqdm_on_load": False}
SAMPLED = frozenset(
    {"temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty", "logit_bias"}
    | {"logprobs", "top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens"}
    | {"json_object", "json_schema", "regex", "choice", "grammar"}
    | {"prompt_logprobs", "stop_token_ids", "include_stop_str_in_output", "bad_words", "allowed_token_ids"}
    | {"skip_special_tokens", "spaces_between_special_tokens", "truncate_prompt_tokens", "truncation_side"}
    | {"cache_salt", "add_special_tokens", "return_tokens_as_token_ids"}
)
TEMPLATED = frozenset({"chat_echo", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"})
PARAMETERS: dict[Kind, frozenset[str]] = {
    "chat": SAMPLED | TEMPLATED | {"tools", "parallel_tool_calls"},
    "completion": SAMPLED | {"echo", "token_prompts"},
    "embedding": frozenset({"dimensions", "token_prompts", "truncate_prompt_tokens"}),
    "score": frozenset({"truncate_prompt_tokens"}),
    "tokenize": frozenset(),
    "transcription": frozenset(
        {"language", "prompt", "temperature", "translate", "segment_timestamps", "transcript_logprobs"}
    ),
}
SILENCE = wav(Clip(bytes(audio.RATE), audio.RATE))
WARM_UP: tuple[Request, ...] = (
    CompletionRequest(model="", prompts=("Hello",), sampling=Sampling(max_tokens=2, seed=1, logprobs=1)),
    EmbeddingRequest(model="", inputs=("Hello",)),
    ScoreRequest(model="", queries=("Hello",), documents=("Hello",)),
    TranscriptionRequest(model="", audio=Audio(SILENCE, "wav", 1.0)),
)


class Vllm:
    """A Hugging Face model. Options: `backends.vllm.options.Options`; the engine's fields are the setting `engine`."""

    def __init__(self, setup: Setup) -> None:
        self.options = Options.read(setup)
        self._by_priority = setup.engine.get("scheduling_policy") == "priority"
        # The engine can only put first what it knows of.
        usual = SLOTS_BY_PRIORITY if self._by_priority else setup.engine.get("max_num_seqs") or SLOTS
        self.slots = setup.slots or usual
        # What the model is for is known once it is loaded; until then nothing is ruled out.
        self.model = Model(
            kinds=frozenset(PARAMETERS),
            parameters=frozenset().union(*PARAMETERS.values(), self._settled()),
            modalities=frozenset(MODALITIES),
            certain=False,
        )
        self._quarantine = Quarantine()
        self._adapters = setup.adapters
        self._figures = Figures(setup.name)
        self._engine = Engine(
            setup.model or "",
            {**USUAL, **adapters.fields(setup), "served_model_name": setup.name},
            self.options,
            setup.changed,
            self._prepare,
            self._quarantine.died,
            self._figures,
        )
        self._loaded: Loaded | None = None
        self._compiler = Compiler()

    @staticmethod
    def check_together(setups: Sequence[Setup]) -> None:
        """Raises ValueError for models that cannot be served side by side."""
        arguments.check_together(setups)

    @property
    def state(self) -> State:
        return self._engine.state

    async def start(self) -> None:
        """Load the model and learn what it can."""
        self._engine.template = await asyncio.to_thread(self.options.template)
        await self._engine.start()

    async def sleep(self) -> bool:
        """Give the card's memory back; False if the engine has no sleep mode."""
        return await self._engine.sleep()

    async def wake(self) -> None:
        await self._engine.wake()

    async def close(self) -> None:
        self._loaded = None
        await self._engine.close()
        await self._compiler.close()

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; closing it early aborts the engine's work on it."""
        loaded = self._current()
        if KINDS[type(request)] not in loaded.kinds:
            raise OtherKind
        with self._quarantine.running(request):
            async with aclosing(self._answer(loaded, request)) as events:
                async for event in events:
                    yield event

    def figures(self) -> Iterator[Figure]:
        """vLLM's own series, and the most wanted of them under names of ours; nothing with `disable_log_stats`."""
        return self._figures.all()

    def _answer(self, loaded: Loaded, request: Request) -> AsyncGenerator[Event, None]:
        match request:
            case ChatRequest():
                return converse(loaded, self._compiler, request)
            case CompletionRequest():
                return complete(loaded, self._compiler, request)
            case EmbeddingRequest():
                return embed(loaded, request)
            case ScoreRequest():
                return score(loaded, request)
            case TokenizeRequest():
                return tokenize(loaded, request)
            case DetokenizeRequest():
                return detokenize(loaded, request)
            case TranscriptionRequest():
                return transcribe(loaded, request)
            case SpeechRequest() | ImageRequest():
                raise OtherKind
            case _:
                assert_never(request)

    def _current(self) -> Loaded:
        """What the running engine is. Raises Unavailable while there is none."""
        if self._loaded is None or self._loaded.client is not self._engine.client:
            raise Unavailable
        return self._loaded

    def _settled(self) -> frozenset[str]:
        """Parameters that the engine's own settings decide on."""
        return frozenset({"priority"} if self._by_priority else ())

    async def _prepare(self) -> None:
        """Learn what a new engine can do, and let it work once: its first steps compile parts of it."""
        found = await adapters.added(self._engine.built, self._engine.library, self._adapters)
        loaded = self._loaded = await learn(self._engine, self.options, self._engine.template, found)
        known = frozenset().union(*(PARAMETERS[kind] for kind in loaded.kinds))
        thinks = loaded.template is not None and (loaded.template.effort or loaded.template.switches)
        self.model = structs.replace(
            self.model,
            certain=True,
            kinds=loaded.kinds,
            modalities=frozenset(loaded.media),
            parameters=known
            | self._settled()
            | ({"reasoning_effort"} if thinks else set())
            | ({"thinking_token_budget"} if loaded.budgets else set())
            | ({"use_activation"} if loaded.pairs is not None else set()),
            context=loaded.context,
            vocabulary=loaded.vocabulary,
            dimensions=loaded.dimensions,
        )
        for request in WARM_UP:
            if KINDS[type(request)] in loaded.kinds:
                await Outcome.of(self._answer(loaded, request))
