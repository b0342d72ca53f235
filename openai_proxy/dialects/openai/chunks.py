"""What the chunks of all streamed answers have in common: constant bytes around what changes, and the end."""

from __future__ import annotations

from backends.events import Usage
from openai_proxy.dialects.openai.answers import encode, usage
from openai_proxy.wire import DONE


class Chunks:
    """`head` and `tail` go around a choice; id, time and model are the same in every chunk of one answer."""

    kind: bytes

    def __init__(self, identity: str, created: int, model: str, include_usage: bool) -> None:
        self.include_usage = include_usage
        self.head = b'data: {"id":%s,"object":"%s","created":%d,"model":%s,"choices":[' % (
            encode(identity),
            self.kind,
            created,
            encode(model),
        )
        self.tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self.usage = Usage()

    def end(self) -> bytes:
        """The last piece: usage if it was asked for, and the end mark."""
        if not self.include_usage:
            return DONE
        return self.head + b'],"usage":' + encode(usage(self.usage)) + b"}\n\n" + DONE
