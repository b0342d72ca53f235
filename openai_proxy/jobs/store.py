"""Where jobs are kept: what a store has to do. `memory` is its twin without a database, `database` the real one.

Whoever works on a job holds a lease of it, under a name that no other process has. What a holder writes is taken only
while the lease is its own and for the attempt that it was given: so no result is written twice, and none by somebody
who was thought to be gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from backends import Kind
from openai_proxy.jobs.job import Failure, File, State
from openai_proxy.jobs.shelf import Shelf

# How long an idempotency key stands for its job, in seconds.
KEY_AGE = 86_400.0
LOST = Failure("worker_lost", "The processes that worked on this job died.")
EXPIRED = Failure("expired", "The job waited too long for its turn.")


class Record(Struct, kw_only=True):
    """A job as it is stored. `place` counts jobs as they came; `request` is encoded, as `size` counts it.

    `lease` is who works on it until `leased`, `canceling`: it shall stop. `events` is how many were stored.
    """

    id: str
    owner: str
    origin: str
    address: str
    kind: Kind
    model: str
    state: State = "queued"
    priority: int = 0
    sent: bytes = b""
    request: bytes = b""
    format: str = ""
    speed: float = 1.0
    key: str | None = None
    digest: bytes = b""
    created: float = 0.0
    started: float | None = None
    first: float | None = None
    finished: float | None = None
    attempt: int = 0
    lease: str | None = None
    leased: float | None = None
    canceling: bool = False
    progress: float = 0.0
    note: str = ""
    failure: Failure | None = None
    events: int = 0
    size: int = 0
    place: int = 0


class Step(Struct, frozen=True, kw_only=True):
    """What a holder writes of its job: how it stands and the encoded events since the last step, `begin` of them
    before these and `count` of these, in `pieces`. `files` are those that the events name; `failure` where it failed.
    """

    id: str
    attempt: int
    state: State = "running"
    started: float | None = None
    first: float | None = None
    finished: float | None = None
    progress: float = 0.0
    note: str = ""
    begin: int = 0
    count: int = 0
    pieces: Sequence[tuple[int, bytes]] = ()
    files: tuple[File, ...] = ()
    failure: Failure | None = None

    @property
    def size(self) -> int:
        """Bytes of the events and of the files that they name."""
        return sum(len(data) for _, data in self.pieces) + sum(file.size for file in self.files)


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs are meant; what is None does not matter. `before` is a place."""

    owner: str | None = None
    origin: str | None = None
    address: str | None = None
    model: str | None = None
    states: frozenset[State] | None = None
    before: int | None = None
    after: int | None = None


class Kept(Struct, frozen=True):
    """How many jobs of a model are in a state, and the bytes that they take."""

    model: str
    state: State
    number: int
    size: int


class Unworked(Struct, frozen=True):
    """A job that ended while nobody worked on it."""

    origin: str
    state: State


class Expired(Struct, frozen=True):
    """How many attempts were lost, and which jobs ended by that or waited for too long."""

    lost: int = 0
    ended: Sequence[Unworked] = ()


class Bounds(Struct, frozen=True):
    """How long ended jobs are kept, in seconds, how many of them, and how many bytes of all jobs."""

    age: float
    count: int
    size: int


class Store(Protocol):
    """Every method may raise StoreFailed. A list of records has no requests but from `claim`."""

    @property
    def shelf(self) -> Shelf: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def add(self, record: Record, most: int, seconds: float) -> Record:
        """Keep a new job for good; or the one that has its owner and key already. If it has a lease, for so long: but
        where others of its model wait it shall wait too, and has none.

        Raises TooManyJobs when it comes to wait and its owner has `most` that wait.
        """
        ...

    async def claim(self, lease: str, seconds: float, wanted: Mapping[str, int]) -> list[Record]:
        """Lease so many waiting jobs of these models, the most urgent first, then the oldest; each one attempt more."""
        ...

    async def beat(self, lease: str, seconds: float) -> None:
        """Renew all leases of that name."""
        ...

    async def held(self, lease: str) -> dict[str, tuple[int, bool]]:
        """The jobs that are leased under that name: their attempt, and whether they shall stop."""
        ...

    async def write(self, lease: str, steps: Sequence[Step]) -> set[str]:
        """Write what a holder says; of which jobs it was taken. What was written from the same `begin` on is replaced:
        who does not know whether it was taken writes again. A job that shall stop does not succeed.
        """
        ...

    async def release(self, lease: str, attempts: Mapping[str, int]) -> Sequence[Unworked]:
        """Give these attempts at jobs back, which are not done; they do not count. Those that shall stop end so."""
        ...

    async def expire(self, lease: str, seconds: float, attempts: int, queue_time: float | None) -> Expired:
        """Put jobs whose lease ended back, but for one's own, or fail them after so many attempts; fail what has waited
        for more than `queue_time` seconds. Leases last `seconds`: one that would last for much
        longer is of a clock that went wrong, or of a machine that was started anew.
        """
        ...

    async def cancel(self, id: str) -> Sequence[Unworked]:
        """End a job that waits, and give it; tell the holder of one that is leased, leave one that has ended."""
        ...

    async def retry(self, id: str) -> bool:
        """Put a failed or canceled job back, as if it were new; whether it was one."""
        ...

    async def find(self, ids: Collection[str]) -> dict[str, Record]:
        """These jobs, as far as they are there."""
        ...

    async def events(self, id: str, attempt: int, begin: int, limit: int | None = None) -> list[tuple[int, bytes]]:
        """The encoded events from number `begin` on, in pieces, each with the number of its first; so many pieces."""
        ...

    async def makers(self, names: Collection[str]) -> dict[str, str]:
        """The ids of the jobs that made files of these names, by name, as far as they are there."""
        ...

    async def page(self, filter: Filter, limit: int, *, sent: bool = True) -> list[Record]:
        """Jobs, the newest first. What their clients sent need be there only if asked for: it may be much."""
        ...

    async def queue(self, model: str) -> list[str]:
        """The ids of those that wait, in the order of their turn."""
        ...

    async def counts(self) -> list[Kept]:
        """How many jobs there are."""
        ...

    async def sweep(self, bounds: Bounds) -> list[str]:
        """Forget ended jobs that are over the bounds, the oldest first; the names of their files."""
        ...
