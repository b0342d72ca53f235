"""What a child does that decodes a picture:

asker    a Task and the picture
child    an Answer and the pixels, or what is wrong with it
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import BinaryIO

from backends.apart.nursery import limit
from vision import BadPicture, Pixels, alpha, blank, load, png

# What is wanted of it, the most that its sides and its shorter side may have (0: any number), its size in bytes.
TASK = struct.Struct("<cIIQ")
# Width and height, 0 for a picture that cannot be read, and how many bytes follow.
ANSWER = struct.Struct("<IIQ")
PIXELS, ALPHA, FILE, SIZE = b"p", b"a", b"f", b"s"

PROCESSOR_SECONDS = 5

GIVEN: dict[bytes, Callable[[Pixels], bytes]] = {
    PIXELS: lambda picture: picture.tobytes(),
    ALPHA: lambda picture: picture.tobytes(),
    FILE: png,
    SIZE: lambda _: b"",
}


def warm() -> None:
    load(png(blank((8, 8), (0, 0, 0))))


def serve(heard: BinaryIO, asker: socket.socket) -> None:
    wanted, side, short, size = TASK.unpack(heard.read(TASK.size))
    limit(PROCESSOR_SECONDS, size)
    data = heard.read(size)
    try:
        picture = alpha(data) if wanted == ALPHA else load(data, side or None, short or None)
        (width, height), made = picture.size, GIVEN[wanted](picture)
    except BadPicture as error:
        width, height, made = 0, 0, str(error).encode()
    asker.sendall(ANSWER.pack(width, height, len(made)))
    asker.sendall(made)
