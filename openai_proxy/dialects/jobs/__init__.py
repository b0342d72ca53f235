"""Jobs for operators, whoever handed them in and by which protocol: list, look at, follow, cancel, do again.

And their files, for whom they are.
"""

from __future__ import annotations

import re

import msgspec
from starlette.routing import Route

from openai_proxy.auth import JOB_FILES
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.dialects.jobs.files import JobFiles
from openai_proxy.dialects.jobs.following import told
from openai_proxy.dialects.jobs.query import JobQuery, asked
from openai_proxy.dialects.jobs.shown import JobEntry, JobInFull, JobPage, entry, in_full
from openai_proxy.errors import JobNotFound
from openai_proxy.jobs.store import Filter
from openai_proxy.openapi import Operation
from openai_proxy.wire import Flow, Incoming, Reply

ALL = "/admin/jobs"
ONE = "/admin/jobs/{id}"
ID = re.compile(r"[0-9a-f-]{36}").fullmatch


def build(edge: Edge) -> Dialect:
    """The routes."""
    desk = Desk(edge)
    return Dialect(
        routes=(
            Route(ALL, edge.endpoint(desk.page), methods=["GET"]),
            Route(ONE, edge.endpoint(desk.one), methods=["GET"]),
            Route(f"{ONE}/events", edge.endpoint(desk.events), methods=["GET"]),
            Route(f"{ONE}/cancel", edge.endpoint(desk.cancel), methods=["POST"]),
            Route(f"{ONE}/retry", edge.endpoint(desk.retry), methods=["POST"]),
            Route(f"{JOB_FILES}{{name}}", edge.endpoint(JobFiles(edge)), methods=["GET"]),
        ),
        operations=(
            Operation("GET", ALL, "Jobs, the newest first; key with scope admin", reply=JobPage, query=JobQuery),
            Operation("GET", ONE, "A job and what it made so far; key with scope admin", reply=JobInFull),
            Operation(
                "GET",
                f"{ONE}/events",
                "A job's events from the one after Last-Event-ID on; key with scope admin",
                media="text/event-stream",
            ),
            Operation("POST", f"{ONE}/cancel", "End a job; key with scope admin", reply=JobEntry, accepts=True),
            Operation("POST", f"{ONE}/retry", "Do a job again; key with scope admin", reply=JobEntry),
            Operation("GET", f"{JOB_FILES}{{name}}", "Fetch a sound or picture of a job", media="*/*"),
        ),
    )


class Desk:
    """The answers. An operator is the owner of no job and sees them all."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def page(self, incoming: Incoming) -> Reply:
        query = asked(incoming.scope["query_string"])
        wanted = Filter(
            owner=query.owner,
            origin=query.origin,
            model=query.model,
            states=frozenset(query.state) or None,
            before=query.before,
        )
        found = await self.edge.jobs.page(wanted, query.limit + 1, sent=False)
        page = found[: query.limit]
        rest = page[-1][0] if len(found) > len(page) else None
        return Reply(msgspec.json.encode(JobPage([entry(job) for _, job in page], rest)))

    async def one(self, incoming: Incoming) -> Reply:
        id = id_of(incoming)
        job = await self.edge.jobs.get(id, None)
        incoming.note_model(job.model)
        place = incoming.root(self.edge.config.server.public_url) + JOB_FILES
        return Reply(msgspec.json.encode(in_full(job, await self.edge.jobs.events(id, None), place)))

    async def cancel(self, incoming: Incoming) -> Reply:
        """202 while the process that works on it has not stopped yet."""
        job = await self.edge.jobs.cancel(id_of(incoming), None)
        incoming.note_model(job.model)
        return Reply(msgspec.json.encode(entry(job)), status=200 if job.ended else 202)

    async def retry(self, incoming: Incoming) -> Reply:
        job = await self.edge.jobs.retry(id_of(incoming), None)
        incoming.note_model(job.model)
        return Reply(msgspec.json.encode(entry(job)))

    async def events(self, incoming: Incoming) -> Flow:
        id = id_of(incoming)
        incoming.note_model((await self.edge.jobs.get(id, None)).model)
        last: bytes = incoming.scope["state"]["head"].get(b"last-event-id", b"")
        return Flow(told(self.edge.jobs, id, last.decode("latin-1"), self.edge.lifecycle))


def id_of(incoming: Incoming) -> str:
    """The job's id. Raises JobNotFound for what cannot be one."""
    id: str = incoming.scope["path_params"]["id"]
    if not ID(id):
        raise JobNotFound
    return id
