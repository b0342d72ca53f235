"""A prediction's output as server-sent events. Source: https://replicate.com/docs/topics/predictions/streaming

The client's reader ends a line at more characters than the standard does, and loses what follows. So each of them
begins a new line here, which clients put together with a line feed. An event's id is the run and the number of the
job's event in it: who has the beginning of an earlier run does not get the end of another one.
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
END, ID = "end", re.compile(r"([0-9a-f]{1,16})-([0-9]{1,9})")
BROKEN = "Work on it begins anew: read the prediction."


def event(name: str, text: str, id: str) -> bytes:
    """One event."""
    lines = "".join(f"data: {line}\n" for line in LINE.split(text))
    return f"event: {name}\nid: {id}\n{lines}\n".encode()


async def streamed(jobs: Jobs, job: Job, last: str, place: str) -> AsyncGenerator[bytes, None]:
    """The events of a job after the one with the id `last`, to its end; `place` is where predictions lie."""
    if last == END:
        yield event("done", "{}", END)
        return
    run, number = _parsed(last)
    if run and run != _run(job):
        for each in _failed(BROKEN, last):
            yield each
        return
    files = files_at(place, jobs)
    if not run and (notes := sent_of(job).notes):
        yield event("logs", "\n".join(notes), "0")
    async for count, found in jobs.follow(job.id, job.owner, number):
        if not run:
            job = await jobs.get(job.id, job.owner)
            run = _run(job)
        number = count
        text = await _said(job, found, jobs, files)
        if text:
            yield event("output", text, f"{run}-{number}")
    job = await jobs.get(job.id, job.owner)
    id = f"{run or _run(job)}-{number}"
    if job.kind == "embedding" and job.state == "succeeded":
        vectors = await output_of(job, await jobs.events(job.id, job.owner), jobs)
        yield event("output", msgspec.json.encode(vectors).decode(), id)
    for each in _ended(job, id):
        yield each


def _run(job: Job) -> str:
    """Work that began anew has another one."""
    return "0" if job.started is None else f"{int(job.started * 1000):x}"


def _parsed(last: str) -> tuple[str, int]:
    """Run and number of the last event that a client has; nothing where it has none, or says something else."""
    found = ID.fullmatch(last)
    return (found[1], int(found[2])) if found else ("", 0)


async def _said(job: Job, found: JobEvent, jobs: Jobs, files: str | None) -> str | None:
    if type(found) is Delta and (job.kind in TEXT or job.kind == "transcription"):
        return found.text if found.index == 0 else None
    if type(found) is File and found.partial is None:
        return await link(found, jobs, files)
    return None


def _ended(job: Job, id: str) -> list[bytes]:
    match job.state:
        case "succeeded":
            return [event("done", "{}", END)]
        case "canceled":
            return [event("done", '{"reason":"canceled"}', END)]
        case _:
            return _failed(BROKEN if job.failure is None else job.failure.message, id)


def _failed(why: str, id: str) -> list[bytes]:
    told = msgspec.json.encode({"detail": why}).decode()
    return [event("error", told, id), event("done", '{"reason":"error"}', END)]
