"""Whose turn it is to be called: so many at once, and so many of one host, in the order in which they came.

Who waits for a host that is slow takes no place of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Line:
    """Those who want the same; `users` are there or wait."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.free = asyncio.Semaphore(most)
        self.users = 0


class Lines:
    """Whoever comes when the numbers have changed belongs to the new ones; nobody who is there has to leave."""

    def __init__(self) -> None:
        self._all = Line(1)
        self._hosts: dict[str, Line] = {}

    @asynccontextmanager
    async def turn(self, host: str, per_host: int, at_once: int) -> AsyncGenerator[None, None]:
        """Around a call."""
        mine, everybody = self._of(host, per_host), self._among(at_once)
        mine.users += 1
        try:
            async with mine.free, everybody.free:
                yield
        finally:
            mine.users -= 1
            if not mine.users and self._hosts.get(host) is mine:
                del self._hosts[host]

    def _of(self, host: str, most: int) -> Line:
        line = self._hosts.get(host)
        if line is None or line.most != most:
            line = self._hosts[host] = Line(most)
        return line

    def _among(self, most: int) -> Line:
        if self._all.most != most:
            self._all = Line(most)
        return self._all
