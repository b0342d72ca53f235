"""The model's tokenizer: texts and chats to tokens, and back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from backends.choices.way import Way
from backends.events import Event, Tokens
from backends.length import check_ids
from backends.requests import DetokenizeRequest, TokenizeRequest
from backends.vllm import chat, prompts
from backends.vllm.loaded import Loaded


async def tokenize(loaded: Loaded, request: TokenizeRequest) -> AsyncGenerator[Event, None]:
    """The events of a tokenize request."""
    if isinstance(request.prompt, str):
        rendered = await prompts.tokenized(loaded, request.prompt, special=request.special)
    else:
        way = Way.of(request.prompt, able=loaded.reads_tools)
        rendered, _ = await chat.render(loaded, request.prompt, way, prompts.Cut(special=request.special))
    ids = tuple(rendered["prompt_token_ids"])
    strings = None
    if request.strings:
        strings = tuple(word or "" for word in loaded.tokenizer.convert_ids_to_tokens(list(ids)))
    yield Tokens(ids, strings)


async def detokenize(loaded: Loaded, request: DetokenizeRequest) -> AsyncGenerator[Event, None]:
    """The events of a detokenize request."""
    check_ids(request.tokens, prompts.model_of(loaded), "tokens")
    yield Tokens(request.tokens, text=await prompts.text_of(loaded, request.tokens))
