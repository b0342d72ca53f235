"""Where an engine's life stands, kept in one place and told at each change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backends import State

# Seconds after which a task that goes on is canceled once more.
AGAIN = 1.0


class Life:
    """The state of one engine, stopped at first; `changed` is called after each change of it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.state = State("stopped")
        self._changed = changed

    def become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    @contextmanager
    def trying(self, note: str) -> Iterator[None]:
        """Around a load: failed with the reason if it raises, stopped when it is called off. Who loads says ready."""
        self.become(State("loading", note))
        try:
            yield
        except BaseException as error:
            self.become(State("failed", str(error)) if isinstance(error, Exception) else State("stopped"))
            raise


async def ended(watch: asyncio.Task[None]) -> None:
    """Cancel a task until it is done: where a timeout of its own runs out in that very moment, one cancel may be lost.

    Raises what it raises, if that is not that it was canceled.
    """
    while not watch.done():
        watch.cancel()
        await asyncio.wait({watch}, timeout=AGAIN)
    if not watch.cancelled():
        watch.result()
