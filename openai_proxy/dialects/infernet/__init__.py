"""The API of an Infernet node: jobs for containers, as infernet-client asks for them.

Source: https://docs.ritual.net, and what the node 1.4.0 and infernet-client 1.0.0 do. A job is an errand of the job
layer and, for each of its containers, one job there.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from openai_proxy.auth import STRANGER, Caller
from openai_proxy.dialects import Dialect, Edge, place_of
from openai_proxy.dialects.infernet.answers import Accepted, NodeInfo
from openai_proxy.dialects.infernet.bodies import JobRequest, StatusReport
from openai_proxy.dialects.infernet.chains import Chains
from openai_proxy.dialects.infernet.containers import plain, within
from openai_proxy.dialects.infernet.deliveries import Deliveries
from openai_proxy.dialects.infernet.node import Node
from openai_proxy.dialects.infernet.refusals import answering, render
from openai_proxy.dialects.infernet.signatures import prepare
from openai_proxy.dialects.infernet.subscriptions import Subscriptions
from openai_proxy.dialects.infernet.tasks import Tasks
from openai_proxy.jobs.places import home
from openai_proxy.openapi import Operation
from openai_proxy.wire import Endpoint, Flow, Incoming, Reply

FILE = "deliveries.jsonl"


def build(edge: Edge) -> Dialect:
    """The routes of a node. `/health` is the server's own, unless the node has a place of its own."""
    chains = Chains(edge)
    tasks = Tasks(chains, edge.jobs.errands, lambda: edge.config)
    node = Node(edge, tasks, Subscriptions(edge, chains, Deliveries(lambda: _deliveries(edge))))
    operations: list[tuple[Operation, Handle]] = [
        (Operation("GET", "/info", "An Infernet node's containers and pending jobs", reply=NodeInfo), node.info),
        (Operation("GET", "/resources", "What each container can do, by name"), node.resources),
        (Operation("GET", "/api/jobs", "Results of jobs by `id`, or the ids of this caller's jobs"), node.jobs),
        (
            Operation("POST", "/api/jobs", "Have containers work; answers at once", body=JobRequest, reply=Accepted),
            node.submit,
        ),
        (Operation("POST", "/api/jobs/batch", "A list of such requests"), node.batch),
        (
            Operation(
                "POST",
                "/api/jobs/stream",
                "The id on a line, then the text as it is made",
                body=JobRequest,
                media="application/octet-stream",
            ),
            node.stream,
        ),
        (Operation("PUT", "/api/status", "Record how a job stands; from this machine", body=StatusReport), node.record),
    ]
    if edge.config.infernet.chain_id is not None:
        prepare()
    place = place_of("infernet", edge.config)
    if place:
        operations.append((Operation("GET", "/health", "Whether the node lives"), node.health))
    own = frozenset((each.method, f"{place or ''}{each.path}") for each, _ in operations)
    return Dialect(
        routes=tuple(
            Route(each.path, Untyped(edge.wire, answering(handle), render), methods=[each.method])
            for each, handle in operations
        ),
        operations=tuple(each for each, _ in operations),
        admit=lambda scope, head: _admitted(edge, own, scope, head),
    )


# By these a proxy says that it is one; a proxy may well not say it.
PASSED_ON = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"})

Handle = Callable[[Incoming], Awaitable[Reply | Flow]]


class Untyped(Endpoint, frozen=True):
    """A route whose bodies are JSON whatever the head says: nobody needs a header for them with curl."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        state = scope["state"]
        state["head"] = {**state["head"], b"content-type": b"application/json"}
        return super().__call__(scope, receive, send)


def _admitted(edge: Edge, own: frozenset[tuple[str, str]], scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
    """Clients of a node have no keys: where there are some, these addresses may call without one.

    What a proxy passed on comes from its address, unless the settings say to believe the proxy.
    """
    client = scope.get("client")
    if (scope["method"], scope["path"]) not in own or client is None:
        return None
    if not edge.config.server.trusted_proxies and not PASSED_ON.isdisjoint(head):
        return None
    return STRANGER if within(plain(client[0]), edge.config.infernet.networks) else None


def _deliveries(edge: Edge) -> Path:
    named = edge.config.infernet.deliveries
    return home(edge.config.jobs) / FILE if named is None else Path(os.path.expanduser(named))
