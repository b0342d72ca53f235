"""Reading an answer to its end, for both clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from backends.remote.http.errors import AnswerTooLarge
from backends.remote.http.trimming import trimmer


class Readable(Protocol):
    """What comes in pieces."""

    @property
    def headers(self) -> Mapping[bytes, bytes]: ...
    async def read(self) -> bytes: ...


async def read_whole(answer: Readable, limit: int) -> bytes:
    """The rest of a body. Raises AnswerTooLarge, at once where the head tells its length."""
    if int(answer.headers.get(b"content-length", b"0")) > limit:
        raise AnswerTooLarge
    pieces: list[bytes] = []
    length = 0
    try:
        while piece := await answer.read():
            length += len(piece)
            if length > limit:
                raise AnswerTooLarge
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        pieces.clear()  # an error's traceback may keep this frame, and all that it holds, for long
        trimmer.held(length)
