"""A prediction's output as server-sent events. Source: https://replicate.com/docs/topics/predictions/streaming

The client's reader ends a line at more characters than the standard does, and loses what follows. So each of them
begins a new line here, which clients put together with a line feed. An event's id is the number of the job's event.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import msgspec

from backends.events import Delta
from openai_proxy.dialects.predictions.prediction import TEXT, files_at, link, output_of, sent_of
from openai_proxy.jobs.job import File, Job, JobEvent
from openai_proxy.jobs.jobs import Jobs

LINE = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
END, NUMBER = "end", re.compile(r"[0-9]{1,9}")
BROKEN = "Work on it begins anew: read the prediction."


def event(name: str, text: str, id: str) -> bytes:
    """One event."""
    lines = "".join(f"data: {line}\n" for line in LINE.split(text))
    return f"event: {name}\nid: {id}\n{lines}\n".encode()


async def streamed(jobs: Jobs, job: Job, last: str, place: str) -> AsyncGenerator[bytes, None]:
    """The events of a job after the one with the id `last`, to its end; `place` is where predictions lie."""
    number = _after(last)
    if number is None:
        yield event("done", "{}", END)
        return
    files = files_at(place, jobs)
    if not number and (notes := sent_of(job).notes):
        yield event("logs", "\n".join(notes), "0")
    async for count, found in jobs.follow(job.id, job.owner, number):
        number = count
        text = await _said(job, found, jobs, files)
        if text:
            yield event("output", text, str(number))
    job = await jobs.get(job.id, job.owner)
    if job.kind == "embedding" and job.state == "succeeded":
        vectors = await output_of(job, await jobs.events(job.id, job.owner), jobs)
        yield event("output", msgspec.json.encode(vectors).decode(), str(number))
    for each in _ended(job, number):
        yield each


def _after(last: str) -> int | None:
    """The number of the last event that a client has; None when it has all of them."""
    if last == END:
        return None
    return int(last) if NUMBER.fullmatch(last) else 0


async def _said(job: Job, found: JobEvent, jobs: Jobs, files: str | None) -> str | None:
    if type(found) is Delta and (job.kind in TEXT or job.kind == "transcription"):
        return found.text if found.index == 0 else None
    if type(found) is File and found.partial is None:
        return await link(found, jobs, files)
    return None


def _ended(job: Job, number: int) -> list[bytes]:
    match job.state:
        case "succeeded":
            return [event("done", "{}", END)]
        case "canceled":
            return [event("done", '{"reason":"canceled"}', END)]
        case _:
            detail = BROKEN if job.failure is None else job.failure.message
            told = msgspec.json.encode({"detail": detail}).decode()
            return [event("error", told, str(number)), event("done", '{"reason":"error"}', END)]
