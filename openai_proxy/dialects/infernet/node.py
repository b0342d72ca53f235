"""The node's routes: what it is, what it can, and the jobs of each caller."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from openai_proxy import __version__
from openai_proxy.decode import beside
from openai_proxy.dialects import Edge
from openai_proxy.dialects.infernet import bodies
from openai_proxy.dialects.infernet.answers import ChainInfo, ContainerInfo, NodeInfo, Pending
from openai_proxy.dialects.infernet.chains import ORIGIN
from openai_proxy.dialects.infernet.containers import check, plain, shown, within
from openai_proxy.dialects.infernet.refusals import MALFORMED, Refused, malformed
from openai_proxy.dialects.infernet.streaming import BYTES, streamed
from openai_proxy.dialects.infernet.subscriptions import Subscriptions
from openai_proxy.dialects.infernet.tasks import COMPLETED, PENDING, STATUSES, Caller, Status, Tasks
from openai_proxy.errors import EdgeError, TooManyJobs
from openai_proxy.jobs.encoding import TYPES
from openai_proxy.wire import Flow, Incoming, Reply

LOOPBACK = ("127.0.0.0/8", "::1")
# Jobs of one batch; ids and other pairs of one query; characters of an id that is recorded by hand.
BATCH, PAIRS, LONGEST_ID = 100, 2000, 128
UNREAD, UNQUEUED, UNSTORED = "Internal server error", "Could not enqueue job", "Could not store job status"


class Node:
    """The answers. Their errors are Refused, or EdgeError where the fault is not the request's."""

    def __init__(self, edge: Edge, tasks: Tasks, subscriptions: Subscriptions) -> None:
        self.edge = edge
        self.tasks = tasks
        self.subscriptions = subscriptions

    # What it is

    async def health(self, incoming: Incoming) -> Reply:
        return reply({"status": "healthy"})

    async def info(self, incoming: Incoming) -> Reply:
        errands, settings = self.edge.jobs.errands, self.edge.config.infernet
        containers = [
            ContainerInfo(name, each.image, each.description, each.external) for name, each in shown(settings).items()
        ]
        pending = Pending(await errands.count(ORIGIN, None, PENDING), await self.subscriptions.count())
        return reply(NodeInfo(__version__, containers, pending, ChainInfo(settings.chain_id is not None, "")))

    async def resources(self, incoming: Incoming) -> Reply:
        """What each container can; of one model: whether it serves that."""
        model = dict(_query(incoming)).get("model_id")
        containers = shown(self.edge.config.infernet)
        if model is not None:
            return reply({name: self._supports(model, each.kinds) for name, each in containers.items()})
        return reply({name: self._resources(name, each.kinds) for name, each in containers.items()})

    def _supports(self, model: str, kinds: tuple[str, ...]) -> dict[str, Any]:
        try:
            there = self.edge.router.find(model).known(model).kinds
        except EdgeError as error:
            return {"supported": False, "error": error.message}
        return {"supported": not kinds or bool(there & set(kinds))}

    def _resources(self, name: str, kinds: tuple[str, ...]) -> dict[str, Any]:
        models = {each: served.known(each).kinds for each, served in self.edge.router.names}
        fitting = [each for each, can in models.items() if not kinds or can & set(kinds)]
        can = sorted({kind for each in fitting for kind in models[each]} & (set(kinds) or set(TYPES)))
        machine = {"architecture": platform.machine(), "num_cores": os.cpu_count()}
        return {
            "service_id": name,
            "compute_capability": [{"id": "ml", "task": can, "cached_models": fitting}],
            "hardware_capabilities": [{"capability_id": "base", "cpu_info": machine, "os_info": {"name": os.name}}],
        }

    # Jobs

    async def submit(self, incoming: Incoming) -> Reply:
        value, caller = await _read(incoming, UNREAD), self._caller(incoming)
        return reply(await self._begin(caller, value, await self.tasks.room(caller), UNREAD))

    async def batch(self, incoming: Incoming) -> Reply:
        values = await _read(incoming, UNREAD)
        if not isinstance(values, list):
            raise Refused(400, "Expected a list")
        if len(values) > BATCH:
            raise Refused(400, f"At most {BATCH} jobs are taken at once")
        caller = self._caller(incoming)
        room = await self.tasks.room(caller)
        # At once, so that the store takes them together.
        items = (self._item(caller, value, room - number) for number, value in enumerate(values))
        return reply(await asyncio.gather(*items))

    async def _item(self, caller: Caller, value: object, room: int) -> dict[str, Any]:
        try:
            return await self._begin(caller, value, room, UNQUEUED)
        except Refused as refused:
            return {"params": {}, **refused.told}
        except EdgeError as error:
            return {"error": f"{UNQUEUED}: {error.message}", "params": {}}

    async def _begin(self, caller: Caller, value: object, room: int, what: str) -> dict[str, Any]:
        if bodies.is_subscription(value):
            await self.subscriptions.take(value, caller.address, what)
            return {}
        job = self._checked(caller, value, what)
        if room <= 0:
            raise TooManyJobs
        return {"id": await self.tasks.begin(caller, job.containers, job.data)}

    def _checked(self, caller: Caller, value: object, what: str) -> bodies.JobRequest:
        try:
            job = bodies.job_request(value)
        except ValueError as error:
            raise malformed(what, error) from error
        check(self.edge.config.infernet, job.containers, caller.address, bool(job.requires_proof))
        return job

    async def stream(self, incoming: Incoming) -> Flow:
        value = await _read(incoming, UNREAD)
        if bodies.is_subscription(value):
            raise Refused(405, "Streaming only supported for OffchainJob requests.")
        caller = self._caller(incoming)
        job = self._checked(caller, value, UNREAD)
        if await self.tasks.room(caller) <= 0:
            raise TooManyJobs
        errand = await self.tasks.hold(caller, job.containers, job.data)
        return Flow(streamed(self.tasks, errand), BYTES)

    async def jobs(self, incoming: Incoming) -> Reply:
        """Results where ids are asked for, else ids."""
        query, caller = _query(incoming), self._caller(incoming)
        # Each once: an answer may be megabytes.
        ids = list(dict.fromkeys(value for name, value in query if name == "id"))
        given = dict(query)
        if ids:
            intermediate = given.get("intermediate", "").lower() == "true"
            return reply(await self.tasks.results(caller, ids, intermediate))
        return reply(await self.tasks.ids(caller, _wanted(given)))

    async def record(self, incoming: Incoming) -> Reply:
        caller = self._caller(incoming)
        if not within(caller.address, (*LOOPBACK, *self.edge.config.infernet.status_networks)):
            raise Refused(403, "Unauthorized")
        try:
            value = await beside(incoming.body, bodies.read_forgivingly, incoming.body)
            report = msgspec.convert(value, bodies.StatusReport)
        except ValueError as error:
            raise malformed(UNSTORED, error) from error
        status = next((each for each in STATUSES if each == report.status), None)
        if status is None:
            raise Refused(400, "Status is invalid")
        # With a slash are those of subscriptions and of what else is kept on the same shelf.
        if not 0 < len(report.id) <= LONGEST_ID or not {"\0", "/"}.isdisjoint(report.id):
            raise Refused(MALFORMED, f"{UNSTORED}: an id has 1 to {LONGEST_ID} characters, and no slash")
        if not await self.tasks.record(caller, report.id, status, report.containers, report.data):
            raise Refused(MALFORMED, f"{UNSTORED}: this job is another caller's")
        return reply({})

    def _caller(self, incoming: Incoming) -> Caller:
        client = incoming.scope.get("client")
        return Caller(incoming.caller.name, plain(client[0]) if client else "")


def reply(value: object) -> Reply:
    """JSON."""
    return Reply(msgspec.json.encode(value))


async def _read(incoming: Incoming, what: str) -> Any:
    try:
        return await beside(incoming.body, bodies.read, incoming.body)
    except ValueError as error:
        raise malformed(what, error) from error


def _query(incoming: Incoming) -> list[tuple[str, str]]:
    """Raises Refused where it has more pairs than a request line should."""
    try:
        return parse_qsl(incoming.scope["query_string"].decode("latin-1"), True, max_num_fields=PAIRS)
    except ValueError as error:
        raise Refused(400, str(error)) from error


def _wanted(given: Mapping[str, str]) -> tuple[Status, ...]:
    """Which jobs a list is of: `pending` as the client sends it, `status` as the node's documentation has it."""
    pending = given.get("pending", "").lower()
    status = given.get("status", "").lower()
    if pending == "true" or (not pending and status == "pending"):
        return PENDING
    if pending == "false" or (not pending and status == "completed"):
        return COMPLETED
    return STATUSES
