"""A job's text as it is made: first its id, alone on a line and in a piece of the network's, then the text."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import msgspec

from backends.errors import EngineFailed
from backends.events import Delta
from openai_proxy.dialects.infernet import inputs
from openai_proxy.dialects.infernet.chains import Failed
from openai_proxy.dialects.infernet.tasks import CUT, Tasks, work_of
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.shelf import Errand
from openai_proxy.wire import Headers

BYTES: Headers = ((b"content-type", b"application/octet-stream"), (b"cache-control", b"no-cache"))
# Released clients take the first piece that arrives for the id: no text comes before it is there. In seconds.
APART = 0.02

log = logging.getLogger("openai_proxy.infernet")


async def streamed(tasks: Tasks, errand: Errand) -> AsyncGenerator[bytes, None]:
    """The id and the text, no character in two pieces. Where the client leaves the engine stops, and the job failed.

    Raises EngineFailed in the middle, which cuts the connection.
    """
    why: str | None = CUT
    tasks.errands.hold(errand)
    try:
        yield f"{errand.id}\n".encode()
        await asyncio.sleep(APART)
        async for piece in _text(tasks, errand):
            yield piece
        why = None
    except Failed as failed:
        why = failed.why
        raise EngineFailed(failed.why) from failed
    finally:
        await _end(tasks, errand, why)


async def _text(tasks: Tasks, errand: Errand) -> AsyncGenerator[bytes, None]:
    """Raises Failed or StoreFailed."""
    chains, work = tasks.chains, work_of(errand)
    given = work.given()
    job = await chains.begin(work, 0, given)
    text = job.kind in ("chat", "completion", "transcription")
    async for _, event in chains.jobs.follow(job.id, None):
        if text and type(event) is Delta and event.index == 0 and event.text:
            yield event.text.encode()
    made = await chains.ended(job.id, 0, many=inputs.is_many(given))
    if not text:
        yield msgspec.json.encode(made)


async def _end(tasks: Tasks, errand: Errand, why: str | None) -> None:
    """Stop the engine if it still works, and write down how the job ended."""
    try:
        if why is not None:
            await tasks.chains.cancel(errand.id)
        await tasks.end(errand, why)
    except StoreFailed as error:
        log.warning("the end of job %s is not written yet: %s", errand.id, error)
