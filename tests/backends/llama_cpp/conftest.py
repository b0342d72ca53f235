"""The two embedded models, started once a session; tests run in the loop that started them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from backends import Setup
from backends.events import Event, Outcome
from backends.llama_cpp import LlamaCpp
from backends.requests import ChatRequest, Message, Request, Sampling, Text

CHAT = "smollm2-135m-instruct"
VECTORS = "all-minilm-l6-v2"
# Read before the environment is cleaned for the tests: weights are kept from one session to the next.
PLACES = {
    option: os.environ[variable]
    for option, variable in {"home": "OPENAI_PROXY_HOME", "wheels": "OPENAI_PROXY_WHEELS"}.items()
    if os.environ.get(variable)
}


def options(weights: str, **more: Any) -> dict[str, Any]:
    return {"weights": weights, **PLACES, **more}


def says(text: str, **more: Any) -> ChatRequest:
    """A chat of one message; fields of Sampling and of ChatRequest by name."""
    own = {name: more.pop(name) for name in tuple(more) if name in ChatRequest.__struct_fields__}
    messages = own.pop("messages", (Message(role="user", parts=(Text(text),)),))
    return ChatRequest(model="m", messages=messages, sampling=Sampling(**{"temperature": 0.0, **more}), **own)


class Running:
    """A started backend and its loop."""

    def __init__(self, runner: asyncio.Runner, backend: LlamaCpp) -> None:
        self.runner = runner
        self.backend = backend

    def answer(self, request: Request) -> Outcome:
        return self.runner.run(Outcome.of(self.backend.run(request)))

    def events(self, request: Request) -> list[Event]:
        return self.runner.run(gathered(self.backend.run(request)))


async def gathered(events: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in events]


def running(setup: Setup) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        backend = LlamaCpp(setup)
        runner.run(backend.start())
        yield Running(runner, backend)
        runner.run(backend.close())


@pytest.fixture(scope="session")
def chat() -> Iterator[Running]:
    yield from running(Setup(name="chat", options=options(CHAT)))


@pytest.fixture(scope="session")
def vectors() -> Iterator[Running]:
    yield from running(Setup(name="vectors", options=options(VECTORS, embedding=True)))
