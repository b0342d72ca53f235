"""A server with jobs that no client handed in: the tests write them into its database."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

from backends.requests import ChatRequest, Message, Sampling, Text
from openai_proxy.config import JobSettings
from openai_proxy.jobs.encoding import encode_request
from openai_proxy.jobs.opening import opened
from openai_proxy.jobs.store import Record
from tests.jobs.stores import LEASE, MANY, record

# One job at a time, so that others wait; it ends and is cancelled within moments.
CONFIG = """\
[server]
grace = 0.0
drain = 1.0

[models.echo]
backend = "echo"
slots = 2
job_slots = 1
"""


class Counter:
    """`home` is the folder of the server's jobs."""

    def __init__(self, home: Path) -> None:
        self.settings = JobSettings(home=str(home))

    def hand_in(self, text: str = "one two three", *, delay: float = 0.0, **fields: Any) -> str:
        """A job whose answer is this text, `delay` seconds between its words; its id."""
        request = ChatRequest(
            model="echo",
            messages=(Message(role="user", parts=(Text(text),)),),
            sampling=Sampling(max_tokens=400),
            extra={"script": {"delay": delay}} if delay else {},
        )
        new = record(
            id=str(uuid.uuid4()), request=encode_request(request), **{"size": 100, "created": time.time(), **fields}
        )
        asyncio.run(self._add(new))
        return new.id

    async def _add(self, new: Record) -> None:
        store = opened(self.settings)
        await store.open()
        try:
            await store.add(new, MANY, LEASE)
        finally:
            await store.close()
