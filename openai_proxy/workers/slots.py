"""A model's slots and queue, held together by all workers: who came first is served first, wherever they came.

Each worker tells in its cells how many requests run and wait there, and since when the first of them does. Who gives a
slot back calls the worker whose turn it is; every worker with somebody in line also looks for itself, 20 times a
second, in case one that was called does not answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from openai_proxy.admission import Admission
from openai_proxy.errors import EdgeError, QueueFull
from openai_proxy.ticker import INTERVAL
from openai_proxy.workers.board import LOADING, OLDEST, RUNNING, SLOT_FREE, TOKENS, WAITING, Post, column


class SharedAdmission(Admission):
    """One worker's part of it. `running` and `waiting` are of this worker; the limits hold for all together."""

    def __init__(self, slots: int, queue: int, queue_tokens: int, post: Post, block: int) -> None:
        self._post = post
        self._cells = post.cells
        self._block = block
        self._lock = post.lock(block)
        self._own = post.own(column(block, RUNNING))
        self._all_running = self._cells.read(column(block, RUNNING))
        self._all_waiting = self._cells.read(column(block, WAITING))
        self._all_here = self._cells.read(column(block, RUNNING), column(block, WAITING))
        # While so many slots are free, no race between the workers can take one too many.
        self._plenty = slots - self._cells.rows
        self._loading = 0
        self._came: dict[asyncio.Future[None], int] = {}
        self._passed_over = (0, 0)
        self._looking: asyncio.TimerHandle | None = None
        super().__init__(slots, queue, queue_tokens)

    @property
    def loading(self) -> int:
        return self._loading

    @loading.setter
    def loading(self, number: int) -> None:
        self._loading = number
        self._post.write(column(self._block, LOADING), number)

    @property
    def ahead(self) -> int:
        return self._in_line() + self._total(LOADING)

    @property
    def too_many_load(self) -> bool:
        return self._total(LOADING) > self.queue

    def take(self) -> bool:
        if self._waiting or self.closed is not None:
            return False
        if sum(self._all_here) < self._plenty:
            self._run(1)
            return True
        with self._lock:
            return self._take()

    def _take(self) -> bool:
        free = sum(self._all_running) < self.slots and not self._in_line()
        if free:
            self._run(1)
        return free

    def _join(self, tokens: int) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._take():
                turn.set_result(None)
            elif self.ahead >= self.queue or (self._in_line() and self._total(TOKENS) + tokens > self.queue_tokens):
                raise QueueFull(retry_after=self.retry_after(), queue_position=self.ahead + 1)
            else:
                self._came[turn] = time.monotonic_ns()
                self._waiting.append(turn)
            self.waiting_tokens += tokens
            self._tell()
        if self._looking is None and self._waiting:
            self._look_later()
        return turn

    def _place(self, turn: asyncio.Future[None]) -> int:
        """All count who wait for a worker whose first came earlier: when the others did is not known here."""
        came = self._came[turn]
        lines = zip(self._cells.read(column(self._block, OLDEST)), self._all_waiting, strict=True)
        before = sum(number for row, (first, number) in enumerate(lines) if row != self._post.row and 0 < first < came)
        return super()._place(turn) + before

    def _left(self, tokens: int) -> None:
        super()._left(tokens)
        self._tell()

    def _pass_on(self) -> None:
        self._run(-1)
        if any(self._all_waiting):
            self._serve()

    def close(self, error: Callable[[], EdgeError]) -> None:
        super().close(error)
        self._tell()

    def look(self) -> None:
        """A slot may be free: give it to the first in line, if that is here."""
        if self._waiting:
            self._serve()

    def _look_later(self) -> None:
        self._post.waiting.add(self.look)
        self._looking = asyncio.get_running_loop().call_later(INTERVAL, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._serve(again=True)
        if self._waiting:
            self._look_later()
        else:
            self._post.waiting.discard(self.look)

    def _serve(self, *, again: bool = False) -> None:
        """Give free slots to those in line here while they are the first; if another worker has the first, call it.

        One that is first elsewhere for the second time when we look `again` is not waited for.
        """
        while True:
            with self._lock:
                first = self._first()
                if first is None or sum(self._all_running) >= self.slots:
                    return
                came, row = first
                mine = row == self._post.row or (again and bool(self._waiting) and first == self._passed_over)
                if mine:
                    turn = self._waiting.popleft()
                    self._run(1)
                    self._tell()
            if not mine:
                if again:
                    self._passed_over = (came, row)
                self._post.board.call(row, SLOT_FREE)
                return
            if turn.done():
                self._run(-1)
            else:
                turn.set_result(None)

    def _first(self) -> tuple[int, int] | None:
        """When the first in line came (monotonic nanoseconds), and to which worker."""
        numbers = self._cells.read(column(self._block, OLDEST))
        return min(((came, row) for row, came in enumerate(numbers) if came), default=None)

    def _run(self, more: int) -> None:
        self.running += more
        self._own[0] = self.running

    def _in_line(self) -> int:
        return sum(self._all_waiting)

    def _total(self, field: int) -> int:
        return self._cells.total(column(self._block, field))

    def _tell(self) -> None:
        """Write down who is in line here."""
        self._post.write(column(self._block, WAITING), len(self._waiting))
        self._post.write(column(self._block, TOKENS), self.waiting_tokens)
        if len(self._came) > len(self._waiting):
            self._came = {turn: self._came[turn] for turn in self._waiting}
        self._post.write(column(self._block, OLDEST), self._came[self._waiting[0]] if self._waiting else 0)
