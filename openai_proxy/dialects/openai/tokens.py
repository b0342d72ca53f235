"""`POST /tokenize` and `POST /detokenize`: what a model's own tokenizer makes of a text or of a chat, and back.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html. Nothing is generated and nothing counted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, structs

from backends import Model
from backends.errors import Unsupported
from backends.events import Outcome, Tokens
from backends.requests import ChatRequest, DetokenizeRequest, TokenizeRequest
from openai_proxy.bodies.chat_body import ChatBody, CustomTool, FunctionTool, Message
from openai_proxy.bodies.checks import able, at_most, at_most_characters, served_model
from openai_proxy.bodies.fetched import with_pictures
from openai_proxy.bodies.fields import Token
from openai_proxy.bodies.messages import messages
from openai_proxy.bodies.options import check_template
from openai_proxy.bodies.tools import tools
from openai_proxy.config import Limits
from openai_proxy.decode import Given, beside, decode
from openai_proxy.dialects import Edge
from openai_proxy.errors import InvalidRequest
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply

TOKENIZE_PATHS = ("/tokenize", "/v1/tokenize")
DETOKENIZE_PATHS = ("/detokenize", "/v1/detokenize")
OF_CHATS = frozenset({"tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"})


class TokenizeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /tokenize`: either `prompt` or `messages`, of which the rest but the first two are.

    `add_special_tokens` is true for a prompt and false for a chat, whose template writes them, if absent.
    """

    model: str | None = None
    prompt: str | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None
    messages: list[Message] | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class TokenizeReply(Struct):
    """The tokens; `max_model_len` is how many the model takes."""

    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None


class DetokenizeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /detokenize`."""

    tokens: list[Token]
    model: str | None = None


class DetokenizeReply(Struct):
    """The text."""

    prompt: str


class Tokenize:
    """Takes texts and chats apart."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, fields = await decode(incoming.body, TokenizeBody)
        limits = self.edge.config.limits
        served = served_model(self.edge.router, body.model, "tokenize", limits)
        incoming.note_model(served.name)
        request = await beside(incoming.body, tokenize_request, body, fields, served, limits)
        if isinstance(request.prompt, ChatRequest):
            chat = await with_pictures(request.prompt, served, self.edge.fetcher, limits, {}, incoming.caller.name)
            request = structs.replace(request, prompt=chat)
        found = told(await Outcome.of(self.edge.router.run(request)))
        strings = None if found.strings is None else list(found.strings)
        reply = TokenizeReply(len(found.ids), served.known(body.model).context, list(found.ids), strings)
        return Reply(msgspec.json.encode(reply))


class Detokenize:
    """Puts texts together."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, _ = await decode(incoming.body, DetokenizeBody)
        limits = self.edge.config.limits
        served = served_model(self.edge.router, body.model, "tokenize", limits)
        incoming.note_model(served.name)
        at_most(body.tokens, limits.tokenize, "tokens")
        request = DetokenizeRequest(model=served.called(body.model), tokens=tuple(body.tokens))
        found = told(await Outcome.of(self.edge.router.run(request)))
        return Reply(msgspec.json.encode(DetokenizeReply(found.text)))


def told(outcome: Outcome) -> Tokens:
    """What the tokenizer answered."""
    assert outcome.tokens is not None
    return outcome.tokens


def tokenize_request(body: TokenizeBody, fields: Given, served: Served, limits: Limits) -> TokenizeRequest:
    """The body as the engine is asked. Raises InvalidRequest, Unsupported and their kin, each naming the field."""
    name = served.called(body.model)
    strings = bool(body.return_token_strs)
    if body.messages is not None:
        if body.prompt is not None:
            raise InvalidRequest("prompt and messages exclude each other.", param="messages")
        chat = _chat(body, body.messages, served, limits)
        return TokenizeRequest(model=name, prompt=chat, special=bool(body.add_special_tokens), strings=strings)
    if body.prompt is None:
        raise InvalidRequest("prompt is required, or messages.", param="prompt")
    for field in sorted(fields.keys() & OF_CHATS):
        raise InvalidRequest(f"{field} is only allowed with messages.", param=field)
    at_most_characters(body.prompt, limits.tokenize, "prompt")
    special = body.add_special_tokens is not False
    return TokenizeRequest(model=name, prompt=body.prompt, special=special, strings=strings)


def _chat(body: TokenizeBody, given: list[Message], served: Served, limits: Limits) -> ChatRequest:
    if "chat" not in served.known(body.model).kinds:
        raise Unsupported(f"The model {served.name} has no template for chats.", param="messages")
    conversation = messages(given, served.model, limits)
    length = sum(len(message.text) for message in conversation)
    if length > limits.tokenize:
        raise InvalidRequest(f"messages have more than {limits.tokenize} characters.", param="messages")
    known, choice = tools(ChatBody(messages=given, tools=body.tools), served.model, limits)
    return ChatRequest(
        model=served.called(body.model),
        messages=conversation,
        tools=known,
        tool_choice=choice,
        extra=_extra(body, served.model, limits),
    )


def _extra(body: TokenizeBody, model: Model, limits: Limits) -> dict[str, Any]:
    """How the chat ends, and what else its template is told."""
    check_template(body, limits)
    extra: dict[str, Any] = {}
    if body.continue_final_message:
        able(model, "continue_final_message")
        extra["continue_final_message"] = True
    if body.add_generation_prompt is False:
        extra["add_generation_prompt"] = False
    if body.chat_template_kwargs:
        able(model, "chat_template_kwargs")
        extra["chat_template_kwargs"] = body.chat_template_kwargs
    return extra
