"""The door of one worker among several: the limits of connections hold for all together."""

from __future__ import annotations

from openai_proxy.door import Door, Edge, Reason
from openai_proxy.workers.board import CONNECTIONS, Post


class Threshold(Door):
    """Counts in shared cells too. The limit of descriptors is that of each process."""

    def __init__(self, edge: Edge, descriptors: int, post: Post) -> None:
        super().__init__(edge, descriptors)
        self.post = post

    def enter(self, peer: str) -> Reason | None:
        with self.post.door_lock:
            reason = super().enter(peer)
            self._tell(peer)
        return reason

    def leave(self, peer: str, reason: Reason | None) -> None:
        with self.post.door_lock:
            super().leave(peer, reason)
            self._tell(peer)

    def _tell(self, peer: str) -> None:
        self.post.write(CONNECTIONS, self.inside - self.over)
        self.post.count_peer(peer, self.peers.get(peer, 0))

    def _in_all(self) -> int:
        return self.post.cells.total(CONNECTIONS)

    def _of(self, peer: str) -> int:
        everywhere = self.post.of_peer(peer)
        return self.peers[peer] if everywhere is None else everywhere
