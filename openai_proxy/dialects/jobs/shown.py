"""What operators are shown of a job. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from backends import Kind
from openai_proxy.jobs.job import Failure, Job, JobEvent, State
from openai_proxy.jobs.result import Result

# Pictures that a client sent may be in what it wrote.
MOST_SENT = 65_536


class JobEntry(Struct, kw_only=True):
    """How a job stands; `position` is its place in the queue, 0 once it was begun, `progress` goes from 0 to 1."""

    id: str
    owner: str
    origin: str
    address: str
    kind: Kind
    model: str
    state: State
    priority: int
    created: float
    started: float | None
    first: float | None
    finished: float | None
    progress: float
    note: str
    position: int
    attempt: int
    failure: Failure | None
    events: int


class JobFile(Struct):
    """A sound of so many seconds or a picture, and its address; `partial` counts the unfinished ones."""

    name: str
    url: str
    media_type: str
    size: int
    index: int
    partial: int | None
    seconds: float


class JobInFull(JobEntry, kw_only=True):
    """The same with the text and files that there are so far, and the beginning of what its client sent."""

    text: str
    files: list[JobFile]
    sent: Annotated[str, Meta(max_length=MOST_SENT)]


class JobPage(Struct):
    """Jobs, the newest first; `next` is what `before` has to be for those that follow."""

    jobs: list[JobEntry]
    next: int | None


def entry(job: Job) -> JobEntry:
    return msgspec.convert(job, JobEntry, from_attributes=True)


def in_full(job: Job, events: Sequence[JobEvent], place: str) -> JobInFull:
    """`place` is where files lie."""
    made = Result.of(events)
    files = [*made.files, *made.unfinished.values()]
    return JobInFull(
        **msgspec.structs.asdict(entry(job)),
        text=made.text,
        files=[JobFile(url=place + file.name, **msgspec.structs.asdict(file)) for file in files],
        sent=job.sent[:MOST_SENT].decode(errors="replace"),
    )
