"""Jobs in this process, with the backend `echo` behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from backends.requests import ChatRequest, Message, Sampling, Text
from openai_proxy.app import create_app
from openai_proxy.config import Config, JobSettings, ModelConfig
from openai_proxy.dialects import Edge
from openai_proxy.jobs.job import Order
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.keys import Keys


class Desk:
    """An edge and its jobs. `order` makes one whose answer is the words it says, `delay` seconds apart."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.jobs: Jobs = edge.jobs

    def order(self, text: str = "one two three", *, delay: float = 0.0, owner: str = "ann", **fields: Any) -> Order:
        script = {"script": {"delay": delay}} if delay else {}
        request = ChatRequest(
            model="echo",
            messages=(Message(role="user", parts=(Text(text),)),),
            sampling=Sampling(max_tokens=400),
            extra=script,
        )
        return Order(request=request, owner=owner, origin="test", **fields)


@asynccontextmanager
async def desk(
    database: str, folder: Path, *, models: dict[str, ModelConfig] | None = None, **settings: Any
) -> AsyncIterator[Desk]:
    """One server's jobs. Leaving it is what a server does that ends."""
    config = Config(
        models=models or {"echo": ModelConfig(backend="echo", slots=4)},
        jobs=JobSettings(database=database, home=str(folder), **settings),
    )
    edge = create_app(config, Keys()).edge
    edge.router.start()
    await edge.router.find("echo").presence.settled.wait()
    try:
        yield Desk(edge)
    finally:
        await edge.jobs.close()
        await edge.router.close()
