"""What the chunks of all streamed answers have in common: constant bytes around what changes, and the end."""

from __future__ import annotations

from backends.events import Answering, Relayed, Usage
from openai_proxy.dialects.openai.answers import encode, usage
from openai_proxy.wire import DONE


class Chunks:
    """`head` and `tail` go around a choice; id, time and model are the same in every chunk of one answer.

    What another server wrote goes on as it is, up to its own usage.
    """

    kind: bytes
    relaying = False

    def __init__(self, identity: str, created: int, model: str, include_usage: bool) -> None:
        self.include_usage = include_usage
        self.identity = identity
        self.created = created
        self.head = self._head(model)
        self.tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self.usage = Usage()

    def _head(self, model: str) -> bytes:
        head = b'data: {"id":%s,"object":"%s","created":%d,"model":%s,"choices":['
        return head % (encode(self.identity), self.kind, self.created, encode(model))

    def move(self, to: Answering) -> bytes:
        """Another model than the one that was asked for will answer."""
        self.head = self._head(to.model)
        return b""

    def relay(self, piece: Relayed) -> bytes:
        """Another server's chunks."""
        self.relaying = True
        return piece.data

    def end(self) -> bytes:
        """The last piece: usage if it was asked for, and the end mark."""
        if self.relaying or not self.include_usage:
            return DONE
        return self.head + b'],"usage":' + encode(usage(self.usage)) + b"}\n\n" + DONE
