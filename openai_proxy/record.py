"""One line in the log and two metrics for every finished exchange."""

from __future__ import annotations

from starlette.types import Scope

from openai_proxy.auth import NOBODY
from openai_proxy.logs import Access, shown_path, write_access
from openai_proxy.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLIENT_GONE = 499


class Record:
    """Counts and logs exchanges. Labels come from our routes, never from a client's path."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def __call__(self, scope: Scope, access: Access) -> None:
        state = scope["state"]
        access.status = access.status or CLIENT_GONE
        self._count(getattr(scope.get("route"), "path", "other"), access)
        caller = state.get("caller", NOBODY)
        access.caller = caller.name
        access.key = caller.tail
        access.peer = scope["client"][0] if scope.get("client") else ""
        access.path = shown_path(scope["path"], scope["query_string"])
        access.model = state.get("model")
        access.outcome = state.get("outcome") or outcome_of(access.status)
        write_access(access)

    def _count(self, route: str, access: Access) -> None:
        method = access.method if access.method in METHODS else "other"
        self.metrics.http_requests.labels(route, method, str(access.status)).inc()
        self.metrics.http_seconds.labels(route).observe(access.seconds)


def outcome_of(status: int) -> str:
    if status == CLIENT_GONE:
        return "client_gone"
    return "ok" if status < 400 else "error"
