"""What travels between a replica and us: several events in one message, or the error that ended them.

MessagePack with a tag for each kind of event takes a fraction of pickle's time and of its room, and an error comes
without traceback, as the very class that was raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from backends import errors
from backends.errors import BackendError
from backends.events import Event


class Failed(Struct, frozen=True, tag=True):
    """An error of `backends.errors`: its class and its fields."""

    kind: str
    fields: dict[str, Any]


Message: TypeAlias = Event | Failed

# The first message of each answer: the replica has begun. What is lost before it may be asked again.
BEGUN = b""
# What a message costs beside its bytes, about.
WEIGHT = 512
# Bytes that may be under way or wait to be taken; after half of them the replica is told.
WINDOW = 1_000_000

PLAIN = (str, int, float, bool, type(None))
encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[Message, ...])


def decode(data: bytes) -> Sequence[Message]:
    """The events of a message."""
    return _decoder.decode(data)


def told(error: BackendError) -> Failed:
    """An error as it travels; one of a backend's own kind as that of our tree that it is."""
    kind = next(each for each in type(error).__mro__ if each.__module__ == errors.__name__)
    return Failed(kind.__name__, {name: value for name, value in vars(error).items() if isinstance(value, PLAIN)})


def raised(failed: Failed) -> BackendError:
    """The error that was raised at the other end."""
    kind: type[BackendError] = getattr(errors, failed.kind)
    error = kind.__new__(kind, failed.fields["message"])
    error.args = (failed.fields["message"],)
    vars(error).update(failed.fields)
    return error
