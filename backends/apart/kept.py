"""What was made of pictures, kept for a while: a chat shows the same ones again with every turn."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
# Bytes whose digest takes less time than a thread's turn.
SMALL = 1 << 16


class Kept(Generic[T]):
    """Values, at most `most` bytes of them by what `size` says of each; those not asked for the longest go first."""

    def __init__(self, most: int, size: Callable[[T], int]) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self.most = most
        self.bytes = 0

    def get(self, key: Hashable) -> T | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: T) -> None:
        size = self._size(value)
        if key in self._values or size > self.most:
            return
        self._values[key] = value
        self.bytes += size
        self.resize(self.most)

    def resize(self, most: int) -> None:
        self.most = most
        while self.bytes > most:
            self.bytes -= self._size(self._values.popitem(last=False)[1])


async def digest(data: bytes) -> bytes:
    """What tells contents apart, by which they are kept."""
    if len(data) <= SMALL:
        return hashlib.blake2b(data, digest_size=32).digest()
    return await asyncio.to_thread(lambda: hashlib.blake2b(data, digest_size=32).digest())
