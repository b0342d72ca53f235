"""Who goes next: some go at once, and those that wait are taken from one owner after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Turns:
    """At most `free` at once. Those who wait stand in a line of their owner's, and the lines take turns."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.lines: dict[str, deque[asyncio.Future[None]]] = {}

    def of(self, owner: str) -> Turn:
        """To be entered, which waits."""
        return Turn(self, owner)

    def line(self, owner: str) -> deque[asyncio.Future[None]]:
        """An owner's line, which is the last one now."""
        self.lines[owner] = self.lines.pop(owner, deque())
        return self.lines[owner]

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self.lines.values()))

    def turn_away(self, owner: str, error: Exception) -> None:
        """Have the last of an owner's line leave with an error."""
        turn = self.lines[owner][-1]
        self.leave(owner, turn)
        if not turn.done():
            turn.set_exception(error)

    def pass_on(self) -> None:
        """Have the next one go on, and its owner's line wait until all others had their turn."""
        while self.lines:
            owner, line = next(iter(self.lines.items()))
            turn = line.popleft()
            if line:
                self.line(owner)
            else:
                del self.lines[owner]
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

    def leave(self, owner: str, turn: asyncio.Future[None]) -> None:
        """Somebody does not stand in line any more."""
        if turn in self.lines.get(owner, ()):
            self.lines[owner].remove(turn)
            if not self.lines[owner]:
                del self.lines[owner]


class Turn:
    """One turn of an owner's, held while it is entered, but for pauses."""

    def __init__(self, turns: Turns, owner: str) -> None:
        self.turns = turns
        self.owner = owner
        self.held = False

    async def __aenter__(self) -> Turn:
        if self.turns.free:
            self.turns.free -= 1
            self.held = True
        else:
            turn = asyncio.get_running_loop().create_future()
            self.turns.lines.setdefault(self.owner, deque()).append(turn)
            await self._come(turn)
        return self

    async def pause(self) -> None:
        """Let others go first, if any wait; then it goes on before what else its owner has."""
        if self.turns.lines.keys() - {self.owner}:
            turn = asyncio.get_running_loop().create_future()
            self.turns.line(self.owner).appendleft(turn)
            self._leave()
            await self._come(turn)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.held:
            if self.owner in self.turns.lines:
                self.turns.line(self.owner)
            self._leave()

    async def _come(self, turn: asyncio.Future[None]) -> None:
        try:
            await turn
        except BaseException:
            self.turns.leave(self.owner, turn)
            if not turn.cancelled() and turn.exception() is None:
                self.turns.pass_on()
            raise
        self.held = True

    def _leave(self) -> None:
        self.held = False
        self.turns.pass_on()
