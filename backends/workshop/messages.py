"""What the two sides tell each other once an engine is loaded: frames of a length and MessagePack.

A question is answered piece by piece, and no piece is made before it is asked for.
"""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct

LENGTH = struct.Struct("<I")


class Load(Struct, frozen=True, kw_only=True):
    """The engine's class as "module:Class", what it is built from, and how many questions it works on at once."""

    engine: str
    options: dict[str, Any]
    threads: int


class Question(Struct, frozen=True, tag=True, array_like=True):
    """To the engine: begin, and make the first piece."""

    number: int
    content: Raw


class More(Struct, frozen=True, tag=True, array_like=True):
    """To the engine: the next piece."""

    number: int


class Leave(Struct, frozen=True, tag=True, array_like=True):
    """To the engine: nobody wants this any more."""

    number: int


class Look(Struct, frozen=True, tag=True, array_like=True):
    """To the engine's process: say whether you live."""


class Piece(Struct, frozen=True, tag=True, array_like=True):
    """The next piece of an answer."""

    number: int
    content: Raw


class Beat(Struct, frozen=True, tag=True, array_like=True):
    """The engine goes on, though it has no piece yet."""

    number: int


class End(Struct, frozen=True, tag=True, array_like=True):
    """There are no more pieces."""

    number: int


class Failure(Struct, frozen=True, tag=True, array_like=True):
    """There are no more pieces: an error of `backends.errors` by its name; for any other `trace` tells where."""

    number: int
    kind: str
    message: str
    param: str | None = None
    trace: str = ""


class Alive(Struct, frozen=True, tag=True, array_like=True):
    """The process lives."""


Asking: TypeAlias = Question | More | Leave | Look
Telling: TypeAlias = Piece | Beat | End | Failure | Alive

encode = msgspec.msgpack.encode
asking = msgspec.msgpack.Decoder(Asking).decode
telling = msgspec.msgpack.Decoder(Telling).decode


def framed(message: Asking | Telling) -> bytes:
    data = encode(message)
    return LENGTH.pack(len(data)) + data
