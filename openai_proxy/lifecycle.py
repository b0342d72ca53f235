"""Whether the server takes requests, and which ones are running: what a drain has to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

from openai_proxy.errors import Draining, EdgeError

Phase: TypeAlias = Literal["serving", "leaving", "draining"]
Stop: TypeAlias = Callable[[EdgeError], None]


class Lifecycle:
    """`serving` takes requests; `leaving` still does but says it is not ready; `draining` refuses new ones.

    A running request registers the function that ends it early with an error of our choice.
    """

    def __init__(self) -> None:
        self.phase: Phase = "serving"
        self.running: set[Stop] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self, stop: Stop) -> None:
        self.running.add(stop)
        self._idle.clear()

    def leave(self, stop: Stop) -> None:
        self.running.discard(stop)
        if not self.running:
            self._idle.set()

    async def idle(self, timeout: float) -> bool:
        """Wait until nothing runs; False when `timeout` seconds passed before."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def stop_running(self) -> None:
        """End what still runs with `Draining`."""
        for stop in tuple(self.running):
            stop(Draining())
