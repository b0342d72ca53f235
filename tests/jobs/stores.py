"""What tests of stores share."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from backends.events import Delta
from openai_proxy.config import JobSettings
from openai_proxy.jobs.encoding import decode_events, encode_events
from openai_proxy.jobs.opening import opened
from openai_proxy.jobs.store import Record, Step, Store

LEASE = 60.0
MANY = 1000
_numbers = itertools.count()


@asynccontextmanager
async def store(database: str) -> AsyncIterator[Store]:
    """An open store."""
    kept = opened(JobSettings(database=database))
    await kept.open()
    try:
        yield kept
    finally:
        await kept.close()


def record(**fields: Any) -> Record:
    """A new job."""
    given = {"owner": "ann", "origin": "test", "address": "", "kind": "chat", "model": "echo", "request": b"asked"}
    return Record(**{"id": f"job-{next(_numbers)}", "created": 1.0, **given, **fields})


async def added(kept: Store, **fields: Any) -> Record:
    """A job in the store."""
    return await kept.add(record(**fields), MANY, LEASE)


async def claimed(kept: Store, lease: str = "me", most: int = MANY, seconds: float = LEASE) -> list[Record]:
    """The jobs of the model `echo` that this holder gets."""
    return await kept.claim(lease, seconds, {"echo": most})


def step(job: Record, *words: str, begin: int = 0, **fields: Any) -> Step:
    """What a holder writes who has these words to add."""
    pieces = encode_events([Delta(word) for word in words], begin)
    return Step(id=job.id, attempt=job.attempt, begin=begin, count=len(words), pieces=pieces, **fields)


async def words(kept: Store, job: Record, begin: int = 0) -> list[str]:
    """What was written."""
    pieces = await kept.events(job.id, job.attempt, begin)
    return [event.text for _, data in pieces for event in decode_events(data) if isinstance(event, Delta)]


async def found(kept: Store, job: Record) -> Record:
    return (await kept.find([job.id]))[job.id]
