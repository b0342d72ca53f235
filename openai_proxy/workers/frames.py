"""What supervisor and workers say to one another over a pair of sockets: values behind their length.

They are pickled: both sides are one program, and nobody else holds the sockets.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from msgspec import Struct

LENGTH = struct.Struct(">I")

What: TypeAlias = Literal[
    "serving",  # a worker: I take connections
    "counted",  # a worker: my figures, from time to time and as the last word
    "metrics",  # a worker tells its figures and asks for the sums; the supervisor asks the others for theirs
    "reload",  # a worker asks for the configuration to be read anew
    "take",  # the supervisor: take this configuration
    "order",  # a worker asks the others to carry an order out
    "upstreams",  # a worker asks what the others know of a model's upstreams, maybe after an order to one
    "image",  # a worker asks the others for a picture by its name
    "login",  # a worker asks the others for a login by its key
    "ask",  # a worker asks the others something of a dialect's, by its name
    "restart",  # a worker asks for all to be replaced
    "tend",  # the supervisor: take connections from these sockets
    "leave",  # the supervisor: drain, the port closes in so many seconds
    "force",  # the supervisor: end now
    "retire",  # the supervisor: take no more connections, finish what runs
]


class Message(Struct):
    """`number` ties an answer to what it answers; 0 expects none. An answer may be an exception, to be raised."""

    what: What
    content: Any = None
    number: int = 0
    answer: bool = False


def frame(message: Message) -> bytes:
    data = pickle.dumps(message)
    return LENGTH.pack(len(data)) + data


class Frames:
    """Puts messages together again from the pieces in which they arrive."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._data += data
        while len(self._data) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            whole = bytes(self._data[LENGTH.size : end])
            del self._data[:end]
            message: Message = pickle.loads(whole)  # noqa: S301 - from our own process
            yield message
