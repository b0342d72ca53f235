"""Requests and their answers: what is asked of an endpoint, waited for or not, and how that stands."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from openai_proxy.auth import peer_of
from openai_proxy.dialects import Edge
from openai_proxy.dialects.aime.callers import Callers
from openai_proxy.dialects.aime.endpoints import Endpoint
from openai_proxy.dialects.aime.faults import NotRegistered, Refusal
from openai_proxy.dialects.aime.inputs import flag, values_of
from openai_proxy.dialects.aime.outputs import ORIGIN, Sent
from openai_proxy.dialects.aime.parameters import SECRETS, text_of
from openai_proxy.dialects.aime.progress import Progress, lapsed
from openai_proxy.dialects.aime.translation import fields_of, prompt_of, seed_of
from openai_proxy.errors import JobNotFound, OriginNotAllowed
from openai_proxy.jobs.job import Job, Order
from openai_proxy.wire import Incoming

# Jobs whose clients are told that they lapsed, and not that they never were, when they are not kept any more.
REMEMBERED = 10_000
SHOWN = 100
FOREIGN = frozenset({b"cross-site", b"same-site"})


class Answers:
    """What endpoints do."""

    def __init__(self, edge: Edge, callers: Callers) -> None:
        self.edge = edge
        self.callers = callers
        self.progress = Progress(edge)
        self._given: OrderedDict[str, str] = OrderedDict()
        self._canceling: set[asyncio.Task[Job]] = set()

    async def asked(self, incoming: Incoming, given: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
        """Have the model do what is asked; answer at once, or when it is done.

        Raises Refusal, EdgeError or BackendError.
        """
        arrived = time.time()
        check_site(incoming, self.edge.config.server.origins)
        caller = await self.callers.find(incoming, given, endpoint)
        incoming.note_model(endpoint.model)
        if endpoint.served.standing.withdrawn:
            raise Refusal(400, "Endpoint disabled!")
        waits = flag(given, "wait_for_result", default=True)
        values = values_of(endpoint.kind, given)
        seed = seed_of(endpoint, values)
        asked = await self.edge.asking(endpoint.kind, fields_of(endpoint, values, seed, waits), caller.name)
        sent = Sent(endpoint.name, endpoint.version, prompt_of(values, endpoint.kind), seed, arrived)
        order = Order(
            request=asked.request,
            format=asked.format,
            speed=asked.speed,
            owner=caller.name,
            origin=ORIGIN,
            sent=msgspec.json.encode(sent),
            address=peer_of(incoming.scope),
        )
        job = await self.edge.jobs.submit(order)
        if waits:
            return await self.progress.result(await self._ended(job), endpoint)
        self._remember(job)
        return self.progress.begun(job.id, endpoint)

    async def _ended(self, job: Job) -> Job:
        """The job when it has ended. Who waited knows no other way to it: without them nobody would read the result."""
        try:
            return await self.edge.jobs.wait(job.id, None)
        except asyncio.CancelledError:
            canceling = asyncio.create_task(self.edge.jobs.cancel(job.id, None))
            self._canceling.add(canceling)
            canceling.add_done_callback(self._canceling.discard)
            raise

    async def stands(self, incoming: Incoming, given: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
        """How a job stands: for who knows its id, but a credential that is sent has to be good. Raises Refusal."""
        caller = await self.callers.seek(incoming, given, endpoint)
        if caller is None and not given.keys().isdisjoint(SECRETS):
            raise NotRegistered
        if caller is not None:
            incoming.scope["state"]["caller"] = caller
        job_id = text_of(given, "job_id")
        if not job_id:
            raise Refusal(402, ["No job_id given"])
        try:
            job = await self.edge.jobs.get(job_id, None if caller is None else caller.name)
            if caller is None and job.origin != ORIGIN:
                raise JobNotFound
        except JobNotFound:
            owner = self._given.get(job_id)
            if owner is not None and (caller is None or caller.name == owner):
                raise lapsed(job_id, endpoint.name) from None
            unknown = f"Client has no active request with this job id {job_id[:SHOWN]}"
            raise Refusal(402, [unknown]) from None
        incoming.note_model(job.model)
        return await self.progress.standing(job, endpoint)

    def _remember(self, job: Job) -> None:
        self._given[job.id] = job.owner
        while len(self._given) > REMEMBERED:
            self._given.popitem(last=False)


def check_site(incoming: Incoming, origins: Collection[str]) -> None:
    """A page of another site could have a browser GET anything, as a picture of it. Raises OriginNotAllowed."""
    head = incoming.scope["state"]["head"]
    # Browsers that are older than Sec-Fetch-Site send at least an origin, where a script asks.
    foreign = head.get(b"sec-fetch-site") in FOREIGN or b"origin" in head
    if incoming.scope["method"] == "GET" and foreign:
        if origins and ("*" in origins or head.get(b"origin", b"").decode("latin-1") in origins):
            return
        raise OriginNotAllowed
