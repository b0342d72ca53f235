"""The jobs of an event: handed in for its caller, followed as they are worked on, and stopped when it is left."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

from openai_proxy.bodies.asking import Asked
from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.events import Event, JobFailed
from openai_proxy.errors import JobNotFound, ModelNotFound
from openai_proxy.jobs.job import Failure, Job, JobEvent, Order
from openai_proxy.jobs.result import Result

ORIGIN = "gradio"
# How often it is looked where a job stands that was not begun, in seconds.
LOOK = 0.5


async def results(edge: Edge, event: Event, asked: Asked, *, main: bool = True) -> AsyncGenerator[Result, None]:
    """What the answer amounts to, each time there is more of it, and once at the end; the event is told of its queue.

    The `main` job of an event has its id. Left early, a job is canceled. Raises JobFailed, or what handing in raises.
    """
    order = Order(
        request=asked.request,
        format=asked.format,
        speed=asked.speed,
        owner=event.caller.name,
        origin=ORIGIN,
        sent=event.name.encode(),
        address=event.address,
        id=event.id if main else str(uuid.uuid4()),
    )
    job = await _handed_in(edge, order)
    try:
        while True:
            result = Result()
            async with aclosing(_followed(edge, event, job)) as found:
                async for each in found:
                    result.take(each)
                    yield result
            job = await edge.jobs.get(job.id, None)
            if job.ended:
                break  # else work on it began anew
        if job.state != "succeeded":
            raise JobFailed(job.failure or Failure("canceled", f"The job was {job.state}."))
        yield result
    finally:
        if not job.ended:
            await edge.jobs.cancel(job.id, None)


async def _handed_in(edge: Edge, order: Order) -> Job:
    """The job. Left meanwhile, it is not left behind."""
    try:
        return await edge.jobs.submit(order)
    except asyncio.CancelledError:
        with contextlib.suppress(JobNotFound):
            await edge.jobs.cancel(order.id or "", None)
        raise


async def last(edge: Edge, event: Event, asked: Asked, *, main: bool = True) -> Result:
    """What the answer amounts to. Raises as `results` does."""
    whole = Result()
    async with aclosing(results(edge, event, asked, main=main)) as found:
        async for result in found:
            whole = result
    return whole


async def _followed(edge: Edge, event: Event, job: Job) -> AsyncGenerator[JobEvent, None]:
    """The job's events. Until there is one, it is looked now and then where the job stands."""
    async with aclosing(edge.jobs.follow(job.id, None)) as events:
        first = asyncio.ensure_future(anext(events, None))
        try:
            while not first.done():
                _tell(edge, event, job)
                await asyncio.wait({first}, timeout=LOOK)
                if not first.done():
                    job = await edge.jobs.get(job.id, None)
        finally:
            first.cancel()
            await asyncio.wait({first})
        found = first.result()
        if found is None:
            return
        event.starts()
        yield found[1]
        async for _, each in events:
            yield each


def _tell(edge: Edge, event: Event, job: Job) -> None:
    if job.state != "queued":
        event.starts()
        return
    event.waits(job.position, eta(edge, job))


def eta(edge: Edge, job: Job) -> float | None:
    """Seconds until the job's turn, by how long others took; None before that is known."""
    try:
        admission = edge.router.find(job.model).admission
    except ModelNotFound:
        return None
    return round(admission.retry_after(job.position), 1) if admission.released else None
