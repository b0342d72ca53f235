"""Pictures that nobody vouches for, decoded in a child that may use little, and kept for a while."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from msgspec import Struct

import vision
from backends.apart import picture_child
from backends.apart.asker import LONGEST_REASON, Nursery
from backends.apart.kept import Kept, digest
from vision import BadPicture, Pixels

# What is made of a picture: RGB pixels, how opaque they are, a PNG of them, or nothing but their size.
Made: TypeAlias = Literal["pixels", "alpha", "png", "size"]

# A child may use five seconds of a processor, which may last longer where it has to share that.
PATIENCE = 20.0
MOST_KEPT = 100_000_000
# The pixels of the largest picture that anybody allows.
MOST_BYTES = 1 << 32
OVERHEAD = 200
TASKS = {
    "pixels": picture_child.PIXELS,
    "alpha": picture_child.ALPHA,
    "png": picture_child.FILE,
    "size": picture_child.SIZE,
}

_nursery = Nursery("picture_child")


class Shown(Struct, frozen=True):
    """A picture that was decoded: its sides in pixels, and what was made of it."""

    width: int
    height: int
    data: bytes | bytearray = b""

    def pixels(self, mode: Literal["RGB", "L"] = "RGB") -> Pixels:
        """As Pillow has them: three channels, or one. Copies them."""
        return vision.unpacked(self.data, (self.width, self.height), mode)


_kept: Kept[Shown] = Kept(MOST_KEPT, lambda shown: len(shown.data) + OVERHEAD)


def keep(most: int) -> None:
    """How many bytes of decoded pictures to keep; 0 for none."""
    _kept.resize(most)


async def shown_soon(data: bytes, made: Made = "pixels", side: int | None = None, short: int | None = None) -> Shown:
    """The upright picture over white, shrunk until no side has more than `side` pixels, the shorter one `short`.

    Raises BadPicture or NoDecoder. What a process could not decode within its limits is a BadPicture.
    """
    if not _kept.most:
        return await _decoded(data, made, side, short)
    key = (await digest(data), made, side, short)
    found = _kept.get(key)
    if found is None:
        found = await _decoded(data, made, side, short)
        _kept.put(key, found)
    return found


async def _decoded(data: bytes, made: Made, side: int | None, short: int | None) -> Shown:
    async with _nursery.in_turn():
        with await _nursery.born() as child:
            try:
                async with asyncio.timeout(PATIENCE):
                    await child.send(picture_child.TASK.pack(TASKS[made], side or 0, short or 0, len(data)))
                    await child.send(data)
                    head = await child.exactly(picture_child.ANSWER.size)
                    width, height, size = picture_child.ANSWER.unpack(head)
                    if size > (MOST_BYTES if width else LONGEST_REASON):
                        raise EOFError
                    found = await child.exactly(size)
            except (OSError, EOFError) as error:  # a timeout is an OSError too
                raise BadPicture("it takes too much to read it") from error
    if not width:
        raise BadPicture(found.decode(errors="replace"))
    return Shown(width, height, found)
