"""One engine's process, and what is said over its pipes. It ends with its standard input: it cannot outlive us."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from backends.diffusers.easel import Easel
from backends.diffusers.messages import (
    FromEngine,
    FromServer,
    Load,
    Loaded,
    Loading,
    Malformed,
    Stop,
    packed,
    receive,
)
from backends.errors import LoadFailed, Unavailable
from backends.process import send_signal
from backends.spawn import spawn

log = logging.getLogger(__name__)

# One that was told to stop does so at its next step; one that does not for so long, in seconds, hangs.
PATIENCE = 120.0


class Link:
    """Not yet begun. `make_easel` makes a place to draw, given what sends a message to the engine; `note` is told what
    is under way while it loads.
    """

    def __init__(
        self,
        load: Load,
        make_easel: Callable[[Callable[[FromServer], None]], Easel],
        note: Callable[[str], None],
    ) -> None:
        self._load = load
        self._make_easel = make_easel
        self._note = note
        self._easel: Easel | None = None
        self._drawing: asyncio.Task[None] | None = None
        self.child: asyncio.subprocess.Process | None = None
        self.loaded = Loaded()

    @property
    def easel(self) -> Easel:
        """Raises Unavailable before it was opened."""
        if self._easel is None:
            raise Unavailable
        return self._easel

    @property
    def waiting(self) -> int:
        """Pictures that are not begun."""
        return self._easel.waiting if self._easel is not None else 0

    async def open(self) -> None:
        """Raises LoadFailed or OSError."""
        self.child = await spawn("backends.diffusers.child")
        self._say(self._load)
        while isinstance(message := await self._heard(), Loading):
            self._note(message.note)
        if not isinstance(message, Loaded):
            raise LoadFailed(f"The engine ended while loading (exit status {await self.child.wait()}).")
        if message.error:
            raise LoadFailed(f"The engine could not load the model: {message.error}")
        self.loaded = message
        self._easel = self._make_easel(self._say)
        self._drawing = asyncio.create_task(self._draw(self._easel))

    async def beats(self, patience: float) -> bool:
        """It cannot say so while it works on a step: calls that are given up and go on tell of one that hangs."""
        return True

    async def close(self) -> None:
        drawing, self._drawing = self._drawing, None
        if drawing is not None:
            drawing.cancel()
            await asyncio.wait([drawing])

    def _say(self, message: FromServer) -> None:
        """What is written to one that is gone is lost: its end is seen elsewhere."""
        if self.child is not None and self.child.stdin is not None:
            self.child.stdin.write(packed(message))
        if isinstance(message, Stop):
            asyncio.get_running_loop().call_later(PATIENCE, self._check_stopped, message.number)

    def _check_stopped(self, number: int) -> None:
        if self._easel is not None and self._easel.drawing == number:
            log.warning("the engine does not stop: killed")
            self._kill()

    def _kill(self) -> None:
        if self.child is not None:
            send_signal(self.child, signal.SIGKILL)

    async def _heard(self) -> FromEngine | None:
        """The next message; None when the process has ended, and so has one that says nonsense."""
        assert self.child is not None
        assert self.child.stdout is not None
        try:
            return await receive(self.child.stdout)
        except Malformed as error:
            log.warning("the engine is not understood: %s", error)
            self._kill()
            return None

    async def _draw(self, easel: Easel) -> None:
        """Batch after batch, until the process ends; and it ends when this does."""
        try:
            while True:
                batch = await easel.next()
                self._say(batch.draw())
                while (message := await self._heard()) is not None and not easel.hear(batch, message):
                    pass
                if message is None:
                    return
        finally:
            self._kill()
            easel.engine_ended()
