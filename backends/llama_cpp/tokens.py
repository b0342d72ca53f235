"""The engine's tokenizer: texts and chats to tokens, and back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from msgspec import Struct

from backends import Model
from backends.choices.way import Way
from backends.events import Event, Tokens
from backends.length import check_ids
from backends.llama_cpp import pictures
from backends.llama_cpp.chat import Template, body
from backends.llama_cpp.client import Client
from backends.requests import ChatRequest, DetokenizeRequest, TokenizeRequest


class _Ids(Struct, frozen=True):
    tokens: tuple[int, ...]


class _Piece(Struct, frozen=True):
    """A token; its bytes where they are no whole characters."""

    id: int
    piece: str | list[int]

    @property
    def text(self) -> str:
        return self.piece if isinstance(self.piece, str) else bytes(self.piece).decode(errors="replace")


class _Pieces(Struct, frozen=True):
    tokens: tuple[_Piece, ...]


class _Text(Struct, frozen=True):
    content: str


class _Prompt(Struct, frozen=True):
    prompt: str


async def ids_of(client: Client, text: str, *, special: bool) -> tuple[int, ...]:
    """The tokens of a text; `special`: with those that the tokenizer puts around it."""
    return (await client.post("/tokenize", {"content": text, "add_special": special}, _Ids)).tokens


async def text_of(client: Client, tokens: tuple[int, ...]) -> str:
    """The text of tokens."""
    return (await client.post("/detokenize", {"tokens": tokens}, _Text)).content


async def tokenize(client: Client, template: Template, request: TokenizeRequest) -> AsyncGenerator[Event, None]:
    """The events of a tokenize request."""
    if isinstance(request.prompt, str):
        text, special = request.prompt, request.special
    else:
        pictures.check_none(request.prompt.messages)
        # As the engine does with a chat, whose template never writes what the tokenizer adds.
        text, special = await _rendered(client, template, request.prompt), True
    if not request.strings:
        yield Tokens(await ids_of(client, text, special=special))
        return
    asked = {"content": text, "add_special": special, "with_pieces": True}
    found = (await client.post("/tokenize", asked, _Pieces)).tokens
    yield Tokens(tuple(piece.id for piece in found), tuple(piece.text for piece in found))


async def detokenize(client: Client, model: Model, request: DetokenizeRequest) -> AsyncGenerator[Event, None]:
    """The events of a detokenize request."""
    check_ids(request.tokens, model, "tokens")
    yield Tokens(request.tokens, text=await text_of(client, request.tokens))


async def _rendered(client: Client, template: Template, chat: ChatRequest) -> str:
    """What the engine reads for a chat."""
    ending = {"add_generation_prompt": chat.extra.get("add_generation_prompt", True)}
    asked = body(chat, template, Way.of(chat, able=template.tools), ending)
    return (await client.post("/apply-template", asked, _Prompt)).prompt
