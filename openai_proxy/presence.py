"""Whether a model's engine is there: loaded, asleep or unloaded, and the way from one to the other.

There is one aim and at most one task that walks towards it, so that orders may come at any time: a newer aim calls off
what the older one began, if that can be called off, and the task goes on from where it stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Literal, TypeAlias

from backends import Backend, State
from backends.errors import BackendError

Place: TypeAlias = Literal["ready", "sleeping", "unloaded"]

log = logging.getLogger("openai_proxy.models")


class Presence:
    """One engine's whereabouts. `place` is where it is, `aim` where it shall be, `problem` why it did not get there.

    `finish` lets what runs come to its end, `changed` is called after each change of `state`. `settled` is set while
    nothing is under way, `since` is when the engine was last made ready, in monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        finish: Callable[[], Coroutine[None, None, None]],
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.backend = backend
        self.place: Place = "unloaded"
        self.aim: Place = "unloaded"
        self.problem: str | None = None
        self.since = 0.0
        self.closed = False
        self.settled = asyncio.Event()
        self._finish = finish
        self._changed = changed
        self._asleep = False
        self._before: tuple[asyncio.Task[None], ...] = ()
        self._moving: asyncio.Task[None] | None = None
        self._step: asyncio.Task[None] | None = None

    @property
    def there(self) -> bool:
        """Whether the engine is loaded, and meant to stay."""
        return self.place == self.aim == "ready"

    @property
    def state(self) -> State:
        """What clients are told."""
        own = self.backend.state
        if self.problem is not None:
            return own if own.name == "failed" else State("failed")
        if self.there:
            return own
        if self._moving is None:
            return State(self.place)
        if self.aim != "ready":
            return State("stopping", "finishing what runs" if self.place == "ready" else "")
        if self._before:
            return State("loading", "waiting until the engine before it has ended")
        return own if own.name == "loading" else State("loading")

    def want(self, aim: Place, before: Iterable[asyncio.Task[None]] = ()) -> None:
        """Begin to go there; first, for a load, wait for the tasks `before`. Returns at once."""
        if self.closed:
            return
        if self.there and aim == "ready" and self.backend.state.name == "failed":
            self.place = "unloaded"  # it died too often; what is left of it goes before it is loaded again
        if aim != self.aim and self._step is not None:
            self._step.cancel()
        self.aim = aim
        self.problem = None
        self._before = (*self._before, *before)
        if self._moving is None and self.place != aim:
            self.settled.clear()
            self._moving = asyncio.create_task(self._move(), name=f"{aim} {self.name}")
        elif self._moving is None:
            self.settled.set()
        self._changed()

    async def close(self) -> None:
        """Call off what is under way and release the engine, for good."""
        self.closed = True
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.wait([self._moving])
        await self.backend.close()

    async def _move(self) -> None:
        try:
            while self.place != self.aim and self.problem is None:
                if self.aim == "ready":
                    await self._arrive()
                else:
                    await self._leave(self.aim)
        except Exception as error:  # a bug in an engine: logged, and the model's state says that it failed
            log.error("model %s failed", self.name, exc_info=error)
            self.problem = "The engine had an internal error."
        finally:
            self._moving = None
            self.settled.set()
            self._changed()

    async def _arrive(self) -> None:
        began = time.monotonic()
        asleep, self._asleep = self._asleep, False
        try:
            done = await self._try(self._wake() if asleep else self._load())
        except (BackendError, OSError, ValueError) as error:
            done = False
            if self.aim == "ready":
                self.problem = str(error)
                log.error("model %s cannot be loaded: %s", self.name, error)
        if done:
            self.place = "ready"
            self.since = time.monotonic()
            state = self.backend.state.name  # one whose servers are elsewhere may be there before they are
            log.info("model %s is %s after %.1f s", self.name, state, time.monotonic() - began)
        elif self.problem is None:  # called off
            await self._release("unloaded")

    async def _load(self) -> None:
        if self._before:
            await asyncio.wait(self._before)
            self._before = ()
            self._changed()
        if self.backend.state.name != "stopped":
            await self.backend.close()
        await self.backend.start()

    async def _wake(self) -> None:
        wake = getattr(self.backend, "wake", None)
        assert wake is not None
        await wake()

    async def _leave(self, aim: Place) -> None:
        if self.place == "ready" and not await self._try(self._finish()):
            return
        if self.aim == aim:
            await self._release(aim)

    async def _release(self, place: Place) -> None:
        """Give the engine's memory back, by its own sleep where it has one."""
        self.place = "unloaded"  # whatever comes of it: requests that come now must not reach it
        sleep = getattr(self.backend, "sleep", None) if place == "sleeping" else None
        self._asleep = sleep is not None and await sleep()
        if not self._asleep:
            await self.backend.close()
        self.place = place
        log.info("model %s is %s", self.name, place)

    async def _try(self, work: Coroutine[None, None, None]) -> bool:
        """Do something that a new aim calls off; False when one did. Raises what the work raises."""
        step = self._step = asyncio.create_task(work)
        try:
            await asyncio.wait([step])
        finally:
            self._step = None
            if not step.done():
                step.cancel()
                await asyncio.wait([step])
        if step.cancelled():
            return False
        step.result()
        return True
