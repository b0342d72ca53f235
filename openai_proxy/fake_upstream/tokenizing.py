"""`POST /tokenize` and `POST /detokenize`: the bytes of a text are its tokens."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from openai_proxy.fake_upstream.answers import Whole, encode
from openai_proxy.fake_upstream.requests import Order, Refusal

CONTEXT = 131_072


class TokenizeBody(Struct):
    """A text, or a chat."""

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(Struct):
    tokens: list[Annotated[int, Meta(ge=0, le=255)]]
    model: str | None = None


def tokenize(order: Order) -> Whole:
    body = order.decoded(TokenizeBody)
    order.model(body.model)
    if body.prompt is None and body.messages is None:
        raise Refusal(400, "prompt or messages is required", param="prompt")
    text = (
        body.prompt if body.prompt is not None else "\n".join(str(each.get("content")) for each in body.messages or [])
    )
    found = list(text.encode())
    strings = [chr(each) for each in found] if body.return_token_strs else None
    return Whole(encode({"count": len(found), "max_model_len": CONTEXT, "tokens": found, "token_strs": strings}))


def detokenize(order: Order) -> Whole:
    body = order.decoded(DetokenizeBody)
    order.model(body.model)
    return Whole(encode({"prompt": bytes(body.tokens).decode(errors="replace")}))
