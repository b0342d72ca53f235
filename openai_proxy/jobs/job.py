"""The vocabulary of jobs: what is handed in, what is kept of it and how it stands. Times are Unix seconds."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from backends import Kind
from backends.events import (
    Delta,
    Embedding,
    Finish,
    Progress,
    PromptLogprobs,
    Score,
    Segment,
    Tokens,
    Usage,
)
from backends.requests import Request

State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled"]
FINAL: frozenset[State] = frozenset({"succeeded", "failed", "canceled"})
MOST_PRIORITY = 100
# What makes files.
DRAWN: frozenset[Kind] = frozenset({"image", "speech"})


class File(Struct, frozen=True, tag=True):
    """Sound or picture `index` of an answer, as it lies in the store of files under a name that nobody can guess.

    `partial` counts from 0 the unfinished pictures that come before it; a sound lasts `seconds`.
    """

    name: str
    media_type: str
    size: int
    index: int = 0
    partial: int | None = None
    seconds: float = 0.0


# What an engine's events become when they are kept: sounds and pictures are files.
JobEvent: TypeAlias = Progress | Delta | Finish | Embedding | Score | Segment | Tokens | PromptLogprobs | Usage | File


class Failure(Struct, frozen=True):
    """Why a job failed: `code` is one of those that errors have in every answer."""

    code: str
    message: str
    param: str | None = None


class Order(Struct, frozen=True, kw_only=True):
    """What a dialect hands in.

    `request` is as an engine is asked, without a `form`. `owner` is the caller's name: nobody else sees the job;
    `address` is where it called from. `origin` is the dialect and `sent` what its client wrote, for the dialect alone.
    Sounds and pictures are kept in `format` (wav and png if empty), sounds `speed` times as fast as the engine makes
    them. The higher its `priority` (-100 to 100) the earlier it is begun. Under the same `key` an owner hands in the
    same thing only once: `digest` tells whether it is the same. Without an `id` the job gets one.
    """

    request: Request
    owner: str
    origin: str
    sent: bytes = b""
    address: str = ""
    format: str = ""
    speed: float = 1.0
    priority: int = 0
    key: str | None = None
    digest: bytes = b""
    id: str | None = None


class Job(Struct, frozen=True, kw_only=True):
    """How a job stands.

    `progress` goes from 0 to 1 and never falls. `position` is its place in the model's queue, counted from 1, and 0
    once it was begun. `events` is how many there are to be read. `first` is when the first one came.
    """

    id: str
    owner: str
    origin: str
    address: str
    kind: Kind
    model: str
    state: State
    sent: bytes
    priority: int
    created: float
    started: float | None = None
    first: float | None = None
    finished: float | None = None
    progress: float = 0.0
    note: str = ""
    position: int = 0
    attempt: int = 0
    failure: Failure | None = None
    events: int = 0

    @property
    def ended(self) -> bool:
        """Whether it will never change again."""
        return self.state in FINAL
