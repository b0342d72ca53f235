"""What stands in the shared cells: who is in service, how many connections there are, how each model does.

A model has a block of columns; which one the supervisor says, in a `Plan` that goes with each configuration.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from openai_proxy.workers.cells import Cells, Lock

Call: TypeAlias = Literal[b"s", b"c"]

SLOT_FREE: Call = b"s"
CHANGED: Call = b"c"

SERVING, CONNECTIONS = range(2)
# Read together: RUNNING and WAITING stand side by side.
RUNNING, WAITING, TOKENS, LOADING, OLDEST, STANDING = range(6)
FIRST_BLOCK = 2
BLOCK = 6
BLOCKS = 1000
# Peers: sets of eight columns. A set is full only when nine of its addresses are connected at once.
SETS, WAYS = 1024, 8
PEERS = FIRST_BLOCK + BLOCKS * BLOCK
KEYS = PEERS + SETS * WAYS
COLUMNS = KEYS + SETS * WAYS
DOOR_LOCK = 0
MOST_CALLS = 4096


class Seat(Struct, frozen=True):
    """A model's block, and when it was taken on, in Unix seconds."""

    block: int
    created: int


Plan: TypeAlias = Mapping[str, Seat]


class Board:
    """The cells by their meaning, for all processes, and a pipe to call each worker by. Made before the fork."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.cells = Cells(COLUMNS, rows)
        self.pipes = [os.pipe() for _ in range(rows)]
        for pipe in self.pipes:
            for end in pipe:
                os.set_blocking(end, False)
                weakref.finalize(self, os.close, end)

    def clear(self, row: int) -> None:
        """Forget what a worker that has ended left in its row, and the calls for it."""
        self.cells.clear(row, range(KEYS))
        self.heard(row)

    def serve(self, row: int, serving: bool) -> None:
        self.cells.write(SERVING, row, int(serving))

    def serving(self) -> list[int]:
        """The rows of the workers that take new connections."""
        return [row for row, number in enumerate(self.cells.read(SERVING)) if number]

    def call(self, row: int, call: Call) -> None:
        """Tell a worker that something is another. When its pipe is full it has enough to do already."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.pipes[row][1], call)

    def heard(self, row: int) -> bytes:
        """The calls for this row since the last time."""
        try:
            return os.read(self.pipes[row][0], MOST_CALLS)
        except BlockingIOError:
            return b""

    def unused(self, block: int) -> bool:
        """Whether every number of a model's block is 0."""
        return not any(self.cells.total(column(block, field)) for field in range(BLOCK))


class Post:
    """The board from one worker's row."""

    def __init__(self, board: Board, row: int) -> None:
        self.board = board
        self.cells = board.cells
        self.row = row
        self.door_lock = self.cells.lock(DOOR_LOCK)
        self.waiting: set[Callable[[], None]] = set()

    def write(self, column: int, number: int) -> None:
        self.cells.write(column, self.row, number)

    def own(self, column: int) -> memoryview:
        """The number in this worker's row, to be written often."""
        return self.cells.read(column)[self.row : self.row + 1]

    def lock(self, block: int) -> Lock:
        """The lock of a model's block."""
        return self.cells.lock(1 + block)

    def call_others(self, call: Call) -> None:
        for row in self.board.serving():
            if row != self.row:
                self.board.call(row, call)

    def count_peer(self, peer: str, number: int) -> None:
        """Tell how many connections of an address are here. To be called under the door's lock."""
        place = self._place(peer, new=number > 0)
        if place is not None:
            self.write(PEERS + place, number)

    def of_peer(self, peer: str) -> int | None:
        """How many connections of an address there are everywhere; None when that is not known."""
        place = self._place(peer, new=True)
        return None if place is None else self.cells.total(PEERS + place)

    def _place(self, peer: str, *, new: bool) -> int | None:
        """Where an address is counted; where it might be, if it is `new`. None when there is no room in its set."""
        key = int.from_bytes(hashlib.blake2b(peer.encode(), digest_size=8).digest(), "big", signed=True) or 1
        first = key % SETS * WAYS
        free = None
        for place in range(first, first + WAYS):
            if self.cells.read(KEYS + place)[0] == key:
                return place
            if free is None and not any(self.cells.read(PEERS + place)):
                free = place
        if new and free is not None:
            self.cells.write(KEYS + free, 0, key)
            return free
        return None


def column(block: int, field: int) -> int:
    return FIRST_BLOCK + block * BLOCK + field
