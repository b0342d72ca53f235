"""A job as the admin API tells of it, and in words."""

from __future__ import annotations

import time
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from openai_proxy.cli.ending import Ending

State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled"]
HEAD = ("id", "state", "model", "kind", "owner", "origin", "how", "age")
STEPS = ((1.0, "s", 120.0), (60.0, "min", 120.0), (3600.0, "h", 48.0), (86_400.0, "days", float("inf")))


class Failure(Struct):
    """Why it failed."""

    code: str
    message: str = ""


class File(Struct):
    """A sound or picture of it, and its address."""

    name: str
    url: str = ""
    media_type: str = ""
    size: int = 0
    partial: int | None = None


class Job(Struct, kw_only=True):
    """`text` and `files` are there where one job was asked for."""

    id: str
    state: State
    model: str = ""
    kind: str = ""
    owner: str = ""
    origin: str = ""
    priority: int = 0
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    progress: float = 0.0
    note: str = ""
    position: int = 0
    attempt: int = 0
    failure: Failure | None = None
    events: int = 0
    text: str = ""
    files: list[File] = []

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def how(self) -> str:
        """What there is to say beside its state."""
        if self.state == "queued":
            return f"place {self.position}" if self.position else ""
        if self.state == "running":
            return " ".join(part for part in (f"{self.progress:.0%}" if self.progress else "", self.note) if part)
        if self.failure is not None:
            return self.failure.code
        return "" if self.finished is None or self.started is None else f"{self.finished - self.started:.1f} s"

    @property
    def text_line(self) -> str:
        return "  ".join(part for part in (self.id, self.state, self.model, self.how) if part)

    def row(self, now: float) -> tuple[str, ...]:
        age = span(now - self.created)
        return (self.id, self.state, self.model, self.kind, self.owner, self.origin, self.how, age)

    def facts(self, now: float) -> list[tuple[str, str]]:
        """All that there is to say of it but its text, each with its name."""
        why = self.failure and f"{self.failure.code}: {self.failure.message}"
        facts = {
            "id": self.id,
            "state": self.state,
            "took" if self.ended else "how": "" if self.failure else self.how,
            "why": why or "",
            "model": f"{self.model} ({self.kind})",
            "owner": self.owner,
            "origin": self.origin,
            "priority": f"{self.priority}" if self.priority else "",
            "created": moment(self.created, now),
            "started": moment(self.started, now),
            "finished": moment(self.finished, now),
            "attempt": f"{self.attempt}" if self.attempt > 1 else "",
        }
        files = [
            ("file", f"{file.url or file.name}  {file.media_type}  {file.size} bytes{unfinished(file)}")
            for file in self.files
        ]
        return [*((name, value) for name, value in facts.items() if value), *files]


class Page(Struct):
    """Several of them."""

    jobs: list[Job]


def unfinished(file: File) -> str:
    return "" if file.partial is None else ", unfinished"


def span(seconds: float) -> str:
    """A time in words: 5 s, 3 min, 4 h, 2 days."""
    seconds = max(0.0, seconds)
    unit, name, _ = next(step for step in STEPS if seconds < step[0] * step[2])
    return f"{seconds / unit:.0f} {name}"


def moment(when: float | None, now: float) -> str:
    if when is None:
        return ""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(when))}, {span(now - when)} ago"


def job_of(answer: Any) -> Job:
    """Ends the command where this is no job."""
    try:
        return msgspec.convert(answer, Job)
    except msgspec.ValidationError as error:
        raise Ending("the server answered something else than a job") from error


def jobs_of(answer: Any) -> list[Job]:
    """Ends the command where these are no jobs."""
    try:
        return msgspec.convert(answer, Page).jobs
    except msgspec.ValidationError as error:
        raise Ending("the server answered something else than jobs") from error
