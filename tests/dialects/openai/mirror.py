"""A model that answers a chat or a text with the request itself, in JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from backends import Model, Setup, State
from backends.events import Delta, Event, Finish, Usage
from backends.requests import ChatRequest, CompletionRequest, Request
from openai_proxy.bodies.constraints import NAMES
from openai_proxy.bodies.fields import EXTRA

PLAIN = frozenset({"temperature", "top_p", "max_tokens", "stop", "seed", "n"})


class Mirror:
    """With `deaf = true` it honours no option of sampling."""

    def __init__(self, setup: Setup) -> None:
        deaf = setup.options.get("deaf", False)
        self.model = Model(
            kinds=frozenset({"chat", "completion"}),
            parameters=frozenset() if deaf else EXTRA | PLAIN | {"tools"} | set(NAMES.values()),
            modalities=frozenset({"image"}),
            context=4096,
        )
        self.slots = 8
        self.state = State("ready")

    async def start(self) -> None:
        pass

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        assert isinstance(request, ChatRequest | CompletionRequest)
        yield Delta(msgspec.json.encode(request).decode())
        yield Finish("stop")
        yield Usage(prompt=3, completion=1)

    async def close(self) -> None:
        pass
