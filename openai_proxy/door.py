"""How many connections a server holds, of whom, and when it takes no more."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from openai_proxy.config import Config
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.proxies import Proxies

Reason: TypeAlias = Literal["total", "peer", "descriptors"]

SHARE = 0.8
LAST_SHARE = 0.9
RESERVED = 32
PLENTY = 10_240
DESCRIPTORS = Path("/dev/fd")


class Edge(Protocol):
    """The part of a server's edge that the listener needs. `config` may be replaced while the server runs; `sockets`
    are the paths of WebSockets.
    """

    @property
    def config(self) -> Config: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def lifecycle(self) -> Lifecycle: ...
    @property
    def sockets(self) -> Collection[str]: ...


class Door:
    """Counts connections. One over a limit is answered 503, but a few of them may still ask whether we live.

    The descriptors of the process are counted from time to time by `measure`: connections may use what everything
    else leaves of 80 % of the limit, so that engines, files and liveness checks never find none.
    """

    def __init__(self, edge: Edge, descriptors: int) -> None:
        self.edge = edge
        self.descriptors = int(descriptors * SHARE)
        self.last_descriptors = int(descriptors * LAST_SHARE)
        self.elsewhere = 0
        self.inside = 0
        self.over = 0
        self.peers: Counter[str] = Counter()
        self._proxies = Proxies(edge.config.server.trusted_proxies)

    def enter(self, peer: str) -> Reason | None:
        """Count a connection in; why it is one too many, if it is. Every call needs its `leave`."""
        reason = self._reason(peer)
        self.inside += 1
        self.peers[peer] += 1
        if reason is not None:
            self.over += 1
            self.edge.metrics.connections_refused.labels(reason).inc()
        self.edge.metrics.connections.set(self.inside)
        return reason

    def leave(self, peer: str, reason: Reason | None) -> None:
        self.inside -= 1
        self.peers[peer] -= 1
        if not self.peers[peer]:
            del self.peers[peer]
        if reason is not None:
            self.over -= 1
        self.edge.metrics.connections.set(self.inside)

    @property
    def crowded(self) -> bool:
        """Whether so many connections are over a limit that the next one is not even listened to."""
        return self.over > RESERVED or self.inside > self.last_descriptors - self.elsewhere

    def measure(self) -> None:
        """Learn how many descriptors are in use beside the connections."""
        try:
            self.elsewhere = max(0, len(os.listdir(DESCRIPTORS)) - self.inside)
        except OSError:
            self.elsewhere = 0

    def _reason(self, peer: str) -> Reason | None:
        server = self.edge.config.server
        if self._in_all() >= server.connections:
            return "total"
        if self.inside >= self.descriptors - self.elsewhere:
            return "descriptors"
        if self._of(peer) >= server.connections_per_peer and not self._trusted(server.trusted_proxies, peer):
            return "peer"
        return None

    def _in_all(self) -> int:
        """Connections that are not one too many."""
        return self.inside - self.over

    def _of(self, peer: str) -> int:
        return self.peers[peer]

    def _trusted(self, listed: tuple[str, ...], peer: str) -> bool:
        if self._proxies.listed != listed:
            self._proxies = Proxies(listed)
        return peer in self._proxies


def raise_descriptors() -> int:
    """Lift the soft limit of open files to the hard one, or to `PLENTY` where that has no end; what then holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return PLENTY
    wanted = max(soft, PLENTY) if hard == resource.RLIM_INFINITY else hard
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
