"""Memory that all workers share: 64-bit numbers in columns, with one row a worker.

A number is written by the worker whose row it is in and read by all, so that no write is ever lost; the supervisor
clears the row of a worker that has ended. What has to be decided by one worker at a time is done under a `Lock`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import time
import weakref
from types import TracebackType

# How long a lock is waited for. It is held for some microseconds, unless its holder was stopped by a signal: then a
# limit that is exceeded by one does less harm than a server that stands still.
PATIENCE = 0.05


class Cells:
    """`columns` columns of `rows` numbers, all 0. Made before the fork, it is the same memory in every process."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._numbers = memoryview(mmap.mmap(-1, columns * rows * 8)).cast("q")
        self._descriptor, name = tempfile.mkstemp()  # of no content: locks are held on it
        os.unlink(name)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, column: int, last: int | None = None) -> memoryview:
        """The numbers of all rows in a column, or from a column to the `last` one."""
        end = column if last is None else last
        return self._numbers[column * self.rows : (end + 1) * self.rows]

    def total(self, column: int) -> int:
        return sum(self._numbers[column * self.rows : (column + 1) * self.rows])

    def write(self, column: int, row: int, number: int) -> None:
        self._numbers[column * self.rows + row] = number

    def clear(self, row: int, columns: range) -> None:
        for column in columns:
            if self._numbers[column * self.rows + row]:
                self._numbers[column * self.rows + row] = 0

    def lock(self, place: int) -> Lock:
        """The lock with that number, the same one in every process."""
        return Lock(self._descriptor, place)


class Lock:
    """A lock between processes, which the kernel takes from one that dies. Not between threads."""

    def __init__(self, descriptor: int, place: int) -> None:
        self._descriptor = descriptor
        self._place = place

    def __enter__(self) -> None:
        end = 0.0
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._place)
            except OSError:
                now = time.monotonic()
                end = end or now + PATIENCE
                if now > end:
                    return
                time.sleep(0)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, self._place)
