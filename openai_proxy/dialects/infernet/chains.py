"""Containers one after another, each a job of its own: the output of one is what the next is given."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from backends.errors import BackendError
from openai_proxy.dialects import Edge
from openai_proxy.dialects.infernet import inputs
from openai_proxy.dialects.infernet.containers import known
from openai_proxy.dialects.infernet.outputs import output
from openai_proxy.errors import EdgeError, JobNotFound, StoreFailed
from openai_proxy.jobs.job import Job, Order

ORIGIN = "infernet"


class Failed(Exception):
    """Container number `index` failed, or could not begin."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index
        self.why = why


class Work(Struct, frozen=True):
    """What `containers` are to do with `data`, JSON. `id`, a UUID, makes those of their jobs; `owner` is whose these
    are and `address` where they were asked for.
    """

    id: str
    containers: Sequence[str]
    data: bytes
    owner: str
    address: str = ""

    def job(self, index: int) -> str:
        """The id of the job of container number `index`; the first one's is that of the work."""
        return self.id if index == 0 else str(uuid.uuid5(uuid.UUID(self.id), str(index)))

    def given(self) -> dict[str, Any]:
        """What the first container is given."""
        found: dict[str, Any] = msgspec.json.decode(self.data)
        return found


class Chains:
    """Runs them, and reads what came of it. Run again, it goes on from the jobs that there are."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.jobs = edge.jobs

    async def run(self, work: Work) -> Any:
        """The output of the last container. Raises Failed, or StoreFailed: then it may go on later."""
        given: Mapping[str, Any] = work.given()
        made: Any = None
        for index, name in enumerate(work.containers):
            if index:
                given = inputs.chained(self._container(name, index), made)
            job = await self.begin(work, index, given)
            made = await self.ended(job.id, index, many=index == 0 and inputs.is_many(given))
        return made

    def _container(self, name: str, index: int) -> Any:
        """Raises Failed where the configuration has it no more."""
        container = known(self.edge.config.infernet).get(name)
        if container is None:
            raise Failed(index, "Container not supported")
        return container

    async def begin(self, work: Work, index: int, given: Mapping[str, Any]) -> Job:
        """The job of a container; the one that there is, if it was begun before. Raises Failed or StoreFailed."""
        container = self._container(work.containers[index], index)
        try:
            return await self.jobs.get(work.job(index), None)
        except JobNotFound:
            pass
        try:
            asked = await inputs.asked(self.edge.asking, container, given, work.owner)
            order = Order(
                request=asked.request,
                owner=work.owner,
                origin=ORIGIN,
                address=work.address,
                format=asked.format,
                speed=asked.speed,
                id=work.job(index),
            )
            return await self.jobs.submit(order)
        except StoreFailed:
            raise
        except (EdgeError, BackendError) as error:
            raise Failed(index, error.message) from error

    async def ended(self, id: str, index: int, *, many: bool) -> Any:
        """What the job of container number `index` made, when it has ended. Raises Failed or StoreFailed."""
        try:
            job = await self.jobs.wait(id, None)
            if job.state != "succeeded":
                raise Failed(index, "The job was canceled." if job.failure is None else job.failure.message)
            return await self.made(job, many=many)
        except JobNotFound as error:
            raise Failed(index, "The job is not known any more.") from error

    async def cancel(self, id: str) -> None:
        """End a job, if there is one. Raises StoreFailed."""
        with contextlib.suppress(JobNotFound):
            await self.jobs.cancel(id, None)

    async def made(self, job: Job, *, many: bool) -> Any:
        """The output of a job. Raises JobNotFound or StoreFailed."""
        return await output(job, await self.jobs.events(job.id, None), many, self.jobs.read)

    async def outputs(self, work: Work, first: int, last: int) -> list[Any]:
        """What containers number `first` to `last` made, as far as they have. Raises StoreFailed."""
        found: list[Any] = []
        for index in range(first, last + 1):
            try:
                job = await self.jobs.get(work.job(index), None)
                if job.state != "succeeded":
                    break
                found.append(await self.made(job, many=index == 0 and inputs.is_many(work.given())))
            except JobNotFound:
                break
        return found
