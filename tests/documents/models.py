"""A model that counts a token a byte, has little room, and answers by a function."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from backends import Kind, Model
from backends.errors import ContextExceeded
from backends.events import Delta, Event, Finish, Tokens, Usage
from backends.requests import ChatRequest, CompletionRequest, Message, Request, Sampling, Text, TokenizeRequest
from openai_proxy.documents.reader import QUESTIONS, Reader
from openai_proxy.served import Served

SYSTEM = Message(role="system", parts=(Text("You are kind."),))
TEMPLATE = 10


class Small:
    """It refuses, as engines do, what is too long for it. `asked` are the requests that it answered."""

    def __init__(
        self, context: int = 400, said: Callable[[str], str] = lambda _: "yes", *, counts: bool = True
    ) -> None:
        kinds: frozenset[Kind] = frozenset({"chat", "completion", "tokenize"} if counts else {"chat", "completion"})
        self.model = Model(kinds=kinds, context=context)
        self.said = said
        self.asked: list[ChatRequest | CompletionRequest] = []

    def known(self, _: str) -> Model:
        return self.model

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        if isinstance(request, TokenizeRequest):
            yield Tokens((0,) * tokens(request.prompt))
            return
        assert isinstance(request, ChatRequest | CompletionRequest)
        answer = request.sampling.max_tokens or 0
        if tokens(request) + answer > (self.model.context or 0):
            raise ContextExceeded
        self.asked.append(request)
        yield Delta(self.said(prompt(request)))
        yield Finish("stop")
        yield Usage()

    def reader(self, *, most: int | None = 50, questions: int = QUESTIONS, **more: Any) -> Reader:
        """It, asked by a chat with a system message."""
        asked = Message(role="user", parts=(Text("replaced"),))
        request = ChatRequest(model="small", messages=(SYSTEM, asked), sampling=Sampling(max_tokens=most), **more)
        return Reader(request, cast("Served", self), self.run, questions)


def tokens(asked: str | ChatRequest | CompletionRequest) -> int:
    """A byte is one, and there are some around each message."""
    if isinstance(asked, str):
        return len(asked.encode())
    if isinstance(asked, CompletionRequest):
        return len(prompt(asked).encode())
    return sum(len(message.text.encode()) + TEMPLATE for message in asked.messages)


def prompt(request: ChatRequest | CompletionRequest) -> str:
    """What was asked last."""
    if isinstance(request, ChatRequest):
        return request.messages[-1].text
    assert isinstance(request.prompts[0], str)
    return request.prompts[0]
