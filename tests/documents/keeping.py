"""An edge with models of the backend `echo`, in this process, and what it keeps of documents in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openai_proxy.app import create_app
from openai_proxy.config import Config, JobSettings, ModelConfig
from openai_proxy.documents.documents import Documents
from openai_proxy.documents.passage import Passage
from openai_proxy.keys import Keys
from openai_proxy.settings.documents import DocumentSettings

ANN, BOB = "ann", "bob"
TEXT = b"The word kumquat stands here.\n\nAnd quokka stands there."


@asynccontextmanager
async def keeping(folder: Path, *models: str, first_delay: float = 0.0, **settings: Any) -> AsyncIterator[Documents]:
    """The documents of a server with these models, `echo` if none are named, that are as slow as this."""
    options = {"first_delay": first_delay}
    config = Config(
        models={name: ModelConfig(backend="echo", options=options) for name in models or ("echo",)},
        jobs=JobSettings(database="memory", home=str(folder)),
        documents=DocumentSettings(home=str(folder), **settings),
    )
    edge = create_app(config, Keys()).edge
    edge.router.start()
    for served in edge.router.models.values():
        await served.presence.settled.wait()
    try:
        yield edge.documents
    finally:
        await edge.documents.close()
        await edge.router.close()


def with_documents(folder: Path, work: Callable[[Documents], Awaitable[None]], *models: str, **settings: Any) -> None:
    async def run() -> None:
        async with keeping(folder, *models, **settings) as kept:
            await work(kept)

    asyncio.run(run())


async def found(kept: Documents, owner: str, collection: str, query: str, limit: int = 1) -> list[Passage]:
    """What has one of the query's words: vectors of `echo` say nothing."""
    passages = await kept.search(owner, [collection], query, limit)
    return [each for each in passages if any(word in each.text for word in query.split())]
