"""What a child does that decodes a sound:

asker    a Task and the sound
asker    one byte for each Answer that it wants
child    an Answer: how long it says that it is, or sound, or what is wrong with it, or nothing at its end
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import BinaryIO

from audio import RATE, WIDTH, BadSound, Clip, TooLong, load, pieces, wav
from backends.apart.nursery import ASK, limit

# The longest that it may be, in seconds, the rate to bring it to, and its size in bytes.
TASK = struct.Struct("<dIQ")
# What follows, and how many bytes of it.
ANSWER = struct.Struct("<cI")
SOUND, END, BAD, LONG, CLAIM = b"s", b"e", b"b", b"l", b"c"
SECONDS = struct.Struct("<d")

PROCESSOR_SECONDS = 60
# Processor time above that: a second for each minute that the sound may last.
FASTER = 60


def warm() -> None:
    load(wav(Clip(bytes(RATE * WIDTH), RATE)), 1)


def serve(heard: BinaryIO, asker: socket.socket) -> None:
    longest, rate, size = TASK.unpack(heard.read(TASK.size))
    limit(PROCESSOR_SECONDS + longest / FASTER, size)
    answers = _answers(heard.read(size), longest, rate)
    while heard.read(1) == ASK:
        kind, data = next(answers)
        asker.sendall(ANSWER.pack(kind, len(data)) + data)


def _answers(data: bytes, longest: float, rate: int) -> Iterator[tuple[bytes, bytes]]:
    claims: list[float] = []
    try:
        for piece in pieces(data, longest, rate, claims.append):
            while claims:
                yield CLAIM, SECONDS.pack(claims.pop())
            yield SOUND, piece
    except TooLong as error:
        yield LONG, str(error).encode()
    except BadSound as error:
        yield BAD, str(error).encode()
    yield END, b""
