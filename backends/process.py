"""The life of an engine's process: spawn, load, watch, start again after a death, end.

It gets what to load on standard input, never as arguments. It runs in a session of its own, so that Ctrl-C in a
terminal does not reach it, and ends by itself when its standard input does, so that it cannot outlive us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from backends import State
from backends.errors import LoadFailed, Unavailable
from backends.life import Life, ended
from backends.spawn import ask
from backends.spawned import Loaded

log = logging.getLogger(__name__)

TRIES = 5
LONGEST_BACKOFF = 60.0
HEALTHY_AFTER = 60.0
HEARTBEAT = 5.0
# Much work on a busy machine keeps an engine from answering for many seconds; that is not a death.
SILENCE = 60.0
GRACE = 2.0


class Link(Protocol):
    """One process, and the way to talk with it; `child` is there once it was spawned."""

    child: asyncio.subprocess.Process | None

    async def open(self) -> None:
        """Spawn and load. Raises LoadFailed or OSError."""

    async def beats(self, patience: float) -> bool:
        """Whether the engine answers within so many seconds."""

    async def close(self) -> None:
        """Give back what was had for talking, once the process has ended."""


L = TypeVar("L", bound=Link)


async def loaded(child: asyncio.subprocess.Process, load: Struct) -> Loaded:
    """Have a process load. Raises LoadFailed."""
    line = await ask(child, load)
    if not line:
        raise LoadFailed(f"The engine ended while loading (exit status {await child.wait()}).")
    answer = msgspec.json.decode(line, type=Loaded)
    if answer.error:
        raise LoadFailed(f"The engine could not load the model: {answer.error[:500]}")
    return answer


class Process(Generic[L]):
    """One engine and its restarts; `make` makes the link to a new process.

    `life` tells how it stands, `died` is called when a running engine ended unasked.
    """

    def __init__(self, make: Callable[[], L], life: Life, died: Callable[[], None]) -> None:
        self._make = make
        self._life = life
        self._died = died
        self._link: L | None = None
        self._watch: asyncio.Task[None] | None = None
        self._retry_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._link.child.pid if self._link is not None and self._link.child is not None else None

    @property
    def link(self) -> L:
        """Raises Unavailable while the engine is not ready."""
        if self._link is None or self._life.state.name != "ready":
            wait = self._retry_at - asyncio.get_running_loop().time()
            raise Unavailable(retry_after=max(1.0, wait))
        return self._link

    async def start(self) -> None:
        """Load and return when the engine answers. Raises LoadFailed or OSError."""
        try:
            with self._life.trying("starting the engine"):
                await self._begin()
        except (LoadFailed, OSError):
            await self._end()
            raise
        self._life.become(State("ready"))
        self._watch = asyncio.create_task(self._keep_alive())

    async def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._watch is not None:
            await ended(self._watch)
            self._watch = None
        await self._end()
        self._life.become(State("stopped"))

    async def _begin(self) -> None:
        self._link = self._make()
        await self._link.open()

    async def _keep_alive(self) -> None:
        """Watch the process; when it dies start it again, TRIES times at most unless it was well for a while."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began = loop.time()
            await self._until_death()
            tries = 0 if loop.time() - began > HEALTHY_AFTER else tries
            self._life.become(State("restarting", "the engine ended unexpectedly"))
            self._died()
            tries = await self._revive(tries)
            if not tries:
                return

    async def _revive(self, tries: int) -> int:
        """Start it again; how many tries that has taken now, 0 when it was given up."""
        loop = asyncio.get_running_loop()
        while tries < TRIES:
            await self._end()
            backoff = min(LONGEST_BACKOFF, 2.0**tries)
            self._retry_at = loop.time() + backoff
            tries += 1
            await asyncio.sleep(backoff)
            try:
                await self._begin()
            except (LoadFailed, OSError) as error:
                log.warning("engine did not start again: %s", error)
            else:
                self._life.become(State("ready"))
                return tries
        await self._end()
        self._life.become(State("failed", f"the engine died and did not come back in {TRIES} tries"))
        return 0

    async def _until_death(self) -> None:
        """Return when the process has exited; one that has gone silent is killed."""
        link = self._link
        if link is None or link.child is None:
            return
        exited = asyncio.create_task(link.child.wait())
        silent_since: float | None = None
        loop = asyncio.get_running_loop()
        try:
            while not (await asyncio.wait({exited}, timeout=HEARTBEAT))[0]:
                if await link.beats(HEARTBEAT):
                    silent_since = None
                    continue
                silent_since = silent_since or loop.time()
                if loop.time() - silent_since > SILENCE:
                    log.warning("engine %s is silent for %d s: killed", self.pid, SILENCE)
                    send_signal(link.child, signal.SIGKILL)
        finally:
            exited.cancel()

    async def _end(self) -> None:
        """End the process (gently for GRACE seconds), then close the link."""
        link, self._link = self._link, None
        if link is None:
            return
        # The process first: its end is what wakes the requests that still wait for an answer.
        if link.child is not None:
            await _end(link.child)
        await link.close()


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    send_signal(child, signal.SIGTERM)  # for one that still loads: it does not hear of its input's end
    try:
        async with asyncio.timeout(GRACE):
            await child.wait()
    except TimeoutError:
        send_signal(child, signal.SIGKILL)
        await child.wait()


def send_signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Unless it has ended."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
