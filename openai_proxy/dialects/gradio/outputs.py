"""Outputs: the texts that events amount to, each made once for all who are told of it.

A text may have some megabytes, and who reads slowly has it for long. So it goes out as JSON in pieces, each when the
one before was taken; and all texts are bounded: over the bound the oldest one is taken away from its readers.
"""

from __future__ import annotations

import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

import msgspec

from openai_proxy.errors import ClientSlow

# Characters of a text that are written at once, and what stands for a longer one until then: in no text by chance, and
# nobody else knows it.
PIECE, MARK = 65_536, secrets.token_hex(16)
# One caller's outputs may have the fourth part of the room.
SHARE = 4


class Output:
    """A text in a room, for as long as somebody has this; empty once it was `dropped`. `size` is in bytes."""

    dropped = False

    def __init__(self, room: Room, owner: str, text: str) -> None:
        self.room = room
        self.owner = owner
        self.text = text
        self.size = sys.getsizeof(text)

    def drop(self) -> None:
        """Take it away from whoever has not read all of it."""
        self.room.left(self)
        self.dropped, self.text, self.size = True, "", 0

    def pieces(self) -> Iterator[bytes]:
        """It as JSON has it between quotes. Raises ClientSlow once it was dropped."""
        for begin in range(0, len(self.text), PIECE):
            if self.dropped:
                raise ClientSlow
            yield msgspec.json.encode(self.text[begin : begin + PIECE])[1:-1]

    def __del__(self) -> None:
        self.room.left(self)


class Room:
    """What all outputs of this process share. `most` tells their bytes, and is asked each time."""

    def __init__(self, most: Callable[[], int]) -> None:
        self.most = most
        self.sizes: Counter[str] = Counter()
        self._outputs: WeakValueDictionary[int, Output] = WeakValueDictionary()
        self._made = 0

    def hold(self, owner: str, text: str) -> Output:
        """An output of that caller's. Older ones make way for it, the caller's own first."""
        output = Output(self, owner, text)
        self._made += 1
        self._outputs[self._made] = output
        self.sizes[owner] += output.size
        most = self.most()
        while self.sizes[owner] > most // SHARE and self._drop_before(output, owner):
            pass
        while self.sizes.total() > most and self._drop_before(output, max(self.sizes, key=self.sizes.__getitem__)):
            pass
        return output

    def _drop_before(self, newest: Output, owner: str) -> bool:
        """Drop the oldest output of that caller's; False where there is none but the newest."""
        for each in self._outputs.values():
            if each.owner == owner and each.size:
                if each is not newest:
                    each.drop()
                return each is not newest
        return False

    def left(self, output: Output) -> None:
        """It takes no room any more."""
        self.sizes[output.owner] -= output.size
        if not self.sizes[output.owner]:
            del self.sizes[output.owner]


def written(value: object, begin: bytes = b"", end: bytes = b"") -> Iterator[bytes]:
    """A value as JSON between two texts; long outputs in it in pieces. Raises ClientSlow once it was dropped."""
    long: list[Output] = []

    def whole(output: Output) -> str:
        if output.dropped:
            raise ClientSlow
        if len(output.text) <= PIECE:
            return output.text
        long.append(output)
        return MARK

    data = begin + msgspec.json.encode(value, enc_hook=whole) + end
    before, *rest = data.split(MARK.encode())
    yield before
    for output, after in zip(long, rest, strict=True):
        yield from output.pieces()
        yield after
