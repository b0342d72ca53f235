"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from openai_proxy.fake_upstream.answers import Stream, Whole, encode, event
from openai_proxy.fake_upstream.requests import Order
from openai_proxy.fake_upstream.texts import StreamOptions, tokens, usage, wants_usage, whole_text

ASSISTANT = b'{"role":"assistant","content":"","refusal":null}'


class FunctionName(Struct):
    name: str


class Tool(Struct):
    function: FunctionName = msgspec.field(default_factory=lambda: FunctionName("tool"))


class ChatBody(Struct):
    """What of a chat is looked at."""

    messages: Raw
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Any = None


def chat(order: Order) -> Whole | Stream:
    body = order.decoded(ChatBody)
    model = order.model(body.model)
    prompt = tokens(bytes(body.messages))
    offered = [] if body.tool_choice == "none" else (body.tools or [])
    return Chat(order, body, model, prompt, [tool.function.name for tool in offered[: order.script.calls]]).answer()


class Chat:
    """One chat on its way."""

    def __init__(self, order: Order, body: ChatBody, model: str, prompt: int, calls: list[str]) -> None:
        self.order = order
        self.body = body
        self.calls = calls
        self.script = order.script
        self.choices = body.n or 1
        self.usage = usage(prompt, self.choices * (len(calls) or self.script.pieces))
        kind = "chat.completion.chunk" if body.stream else "chat.completion"
        self.head = b'{"id":"chatcmpl-%d","object":"%b","created":%d,"model":%b,"system_fingerprint":%b,' % (
            order.request.number,
            kind.encode(),
            int(time.time()),
            encode(model),
            encode(order.name),
        )
        self.finish = b"tool_calls" if calls else b"stop"

    def answer(self) -> Whole | Stream:
        return self.stream() if self.body.stream else self.whole()

    def whole(self) -> Whole:
        if self.calls:
            calls = [self.call(number) for number in range(len(self.calls))]
            message = b'{"role":"assistant","content":null,"refusal":null,"tool_calls":%b}' % encode(calls)
        else:
            message = b'{"role":"assistant","content":%b,"refusal":null}' % encode(whole_text(self.script))
        choices = b",".join(
            b'{"index":%d,"message":%b,"logprobs":null,"finish_reason":"%b"}' % (number, message, self.finish)
            for number in range(self.choices)
        )
        usage = b"" if self.order.fault.name == "no-usage" else b',"usage":%b' % encode(self.usage)
        return Whole(b'%b"choices":[%b]%b}' % (self.head, choices, usage))

    def stream(self) -> Stream:
        asked = wants_usage(self.body.stream_options)
        begin = b'data: %b"choices":[{"index":' % self.head
        # With a usage to come, every other event says that it has none.
        null = b',"usage":null' if asked else b""
        end = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % null
        last = b',"delta":{},"logprobs":null,"finish_reason":"%b"}]%b}\n\n' % (self.finish, null)
        numbers = range(self.choices)

        def deltas(delta: bytes) -> bytes:
            return b"".join(b'%b%d,"delta":%b%b' % (begin, number, delta, end) for number in numbers)

        def chunk(number: int) -> bytes:
            return deltas(self.delta(number))

        return Stream(
            len(self.calls) or self.script.pieces,
            chunk,
            opening=deltas(ASSISTANT),
            finish=b"".join(b"%b%d%b" % (begin, number, last) for number in numbers),
            usage=event(b'%b"choices":[],"usage":%b}' % (self.head, encode(self.usage))) if asked else b"",
        )

    def delta(self, number: int) -> bytes:
        if self.calls:
            return b'{"tool_calls":[%b]}' % encode({"index": number, **self.call(number)})
        return b'{"content":%b}' % encode(self.script.piece(number))

    def call(self, number: int) -> dict[str, Any]:
        function = {"name": self.calls[number % len(self.calls)], "arguments": "{}"}
        return {"id": f"call_{self.order.request.number}_{number}", "type": "function", "function": function}
