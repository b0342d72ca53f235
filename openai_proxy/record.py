"""One line in the log and two metrics for every finished exchange."""

from __future__ import annotations

from starlette.types import Scope

from openai_proxy.auth import NOBODY, peer_of
from openai_proxy.logs import Access, shown_path, write_access
from openai_proxy.metrics import Metrics
from openai_proxy.tallies import Count, Spread

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLIENT_GONE = 499


class Record:
    """Counts and logs exchanges. Labels come from our routes, never from a client's path."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._cells: dict[tuple[str, str, int], tuple[Count, Spread]] = {}

    def __call__(self, scope: Scope, status: int, size: int | None, seconds: float) -> None:
        """`status` 0: the client was gone before there was one."""
        state = scope["state"]
        status = status or CLIENT_GONE
        method = scope["method"]
        self._count(getattr(scope.get("route"), "path", "other"), method, status, seconds)
        caller = state.get("caller", NOBODY)
        write_access(
            Access(
                request_id=state["request_id"],
                caller=caller.name,
                key=caller.tail,
                peer=peer_of(scope),
                method=method,
                path=shown_path(scope["path"], scope["query_string"]),
                status=status,
                seconds=seconds,
                bytes=size,
                model=state.get("model"),
                outcome=state.get("outcome") or outcome_of(status),
            )
        )

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        cells = self._cells.get((route, method, status))
        if cells is None:
            requests = self.metrics.http_requests.labels(route, method, str(status))
            cells = self._cells[route, method, status] = (requests, self.metrics.http_seconds.labels(route))
        cells[0].inc()
        cells[1].observe(seconds)


def outcome_of(status: int) -> str:
    if status == CLIENT_GONE:
        return "client_gone"
    return "ok" if status < 400 else "error"
