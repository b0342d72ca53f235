"""Whether the server takes requests, and which ones are running: what a drain has to know."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol, TypeAlias

from openai_proxy.errors import Draining, EdgeError

Phase: TypeAlias = Literal["serving", "leaving", "draining"]


class Running(Protocol):
    """A request that is being answered."""

    def stop(self, error: EdgeError) -> None:
        """End it early with that error."""


class Lifecycle:
    """`serving` takes requests; `leaving` still does but says it is not ready; `draining` refuses new ones."""

    def __init__(self) -> None:
        self.phase: Phase = "serving"
        self.running: set[Running] = set()
        self._idle: asyncio.Event | None = None

    def enter(self, request: Running) -> None:
        self.running.add(request)

    def leave(self, request: Running) -> None:
        self.running.discard(request)
        if self._idle is not None and not self.running:
            self._idle.set()

    async def idle(self, timeout: float) -> bool:
        """Wait until nothing runs; False when `timeout` seconds passed before."""
        self._idle = asyncio.Event()
        try:
            async with asyncio.timeout(timeout):
                while self.running:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def stop_running(self) -> None:
        """End what still runs with `Draining`."""
        for request in tuple(self.running):
            request.stop(Draining())
