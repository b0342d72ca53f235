"""`POST /v1/completions`."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Raw, Struct

from openai_proxy.fake_upstream.answers import Stream, Whole, encode, event
from openai_proxy.fake_upstream.requests import Order
from openai_proxy.fake_upstream.texts import StreamOptions, TextUsage, tokens, usage, wants_usage, whole_text


class CompletionBody(Struct):
    """What of a completion is looked at. A list of texts, or of lists of tokens, brings choices for each."""

    prompt: str | list[Raw]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None

    @property
    def prompts(self) -> int:
        if isinstance(self.prompt, str) or not self.prompt:
            return 1
        return len(self.prompt) if bytes(self.prompt[0])[:1] in (b'"', b"[") else 1


def completion(order: Order) -> Whole | Stream:
    body = order.decoded(CompletionBody)
    model = order.model(body.model)
    choices = body.prompts * (body.n or 1)
    head = b'{"id":"cmpl-%d","object":"text_completion","created":%d,"model":%b,"system_fingerprint":%b,' % (
        order.request.number,
        int(time.time()),
        encode(model),
        encode(order.name),
    )
    spent = usage(tokens(encode(body.prompt)), choices * order.script.pieces)
    if body.stream:
        return _stream(order, head, choices, spent, asked=wants_usage(body.stream_options))
    return _whole(order, head, choices, spent)


def _whole(order: Order, head: bytes, choices: int, spent: TextUsage) -> Whole:
    text = encode(whole_text(order.script))
    listed = b",".join(
        b'{"index":%d,"text":%b,"logprobs":null,"finish_reason":"stop"}' % (number, text) for number in range(choices)
    )
    told = b"" if order.fault.name == "no-usage" else b',"usage":%b' % encode(spent)
    return Whole(b'%b"choices":[%b]%b}' % (head, listed, told))


def _stream(order: Order, head: bytes, choices: int, spent: TextUsage, *, asked: bool) -> Stream:
    null = b',"usage":null' if asked else b""

    def events(text: bytes, finish: bytes) -> bytes:
        parts = (
            b'data: %b"choices":[{"index":%d,"text":%b,"logprobs":null,"finish_reason":%b}]%b}\n\n'
            % (head, number, text, finish, null)
            for number in range(choices)
        )
        return b"".join(parts)

    def chunk(number: int) -> bytes:
        return events(encode(order.script.piece(number)), b"null")

    last = event(b'%b"choices":[],"usage":%b}' % (head, encode(spent))) if asked else b""
    return Stream(order.script.pieces, chunk, finish=events(b'""', b'"stop"'), usage=last)
