"""uvicorn's server with a life of our own: signals, the drain, reloads."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from types import FrameType
from typing import Any, Protocol, TypeAlias, cast

import uvicorn

from openai_proxy.config import Config, JobSettings
from openai_proxy.door import Door
from openai_proxy.door import Edge as DoorEdge
from openai_proxy.keys import Keys
from openai_proxy.protocol import Protocol as Connection

Read: TypeAlias = Callable[[], tuple[Config, Keys]]

BACKLOG = 2048
FORCED = 1
LAST_WORDS = 2.0
FORCED_WAIT = 0.5
HARD_END = 1.8
WATCH_EVERY = 1.0
MEASURE_EVERY = 50
ENDING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("openai_proxy.server")


def differences(old: Config, new: Config) -> Iterator[str]:
    """What a new configuration says that a running server cannot take."""
    if (new.server.host, new.server.port) != (old.server.host, old.server.port):
        yield "server.host and server.port take effect at the next start"
    if new.server.workers != old.server.workers:
        yield "server.workers takes effect at the next start"
    if _places_of_jobs(new.jobs) != _places_of_jobs(old.jobs):
        yield "jobs.database, jobs.home and jobs.files take effect at the next start"
    if (new.documents.home, new.documents.at_once) != (old.documents.home, old.documents.at_once):
        yield "documents.home and documents.at_once take effect at the next start"
    if new.protocols != old.protocols:
        yield "protocols take effect at the next start"


def _places_of_jobs(jobs: JobSettings) -> tuple[str | None, ...]:
    return jobs.database, jobs.home, jobs.files


class Router(Protocol):
    """What a drain asks of the router: refuse whoever still waits for a slot."""

    def turn_away(self) -> None: ...


class Edge(DoorEdge, Protocol):
    """The part of a server's edge that its life needs: what the listener does, and more."""

    @property
    def keys(self) -> Keys: ...
    @property
    def router(self) -> Router: ...


class Application(Protocol):
    """The part of the application that its life needs."""

    @property
    def edge(self) -> Edge: ...
    async def reload(self, config: Config, keys: Keys) -> None: ...
    def reread(self, read: Callable[[], Awaitable[None]]) -> None: ...


def listening(application: Application, door: Door) -> uvicorn.Config:
    """What uvicorn has to know."""
    return uvicorn.Config(
        cast(Any, application),
        http=cast(Any, functools.partial(Connection, door=door)),
        loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )


class Process(uvicorn.Server):
    """One serving process. `serving` is called once when requests are answered; `code` is the exit code."""

    def __init__(
        self, config: uvicorn.Config, application: Application, door: Door, read: Read, *, watch: bool
    ) -> None:
        super().__init__(config)
        self.application = application
        self.edge = application.edge
        self.door = door
        self.read = read
        self.watch = watch
        self.serving: Callable[[], None] = lambda: None
        self.code = 0
        self._signals = 0
        self._leaving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    # Signals

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._loop = asyncio.get_running_loop()
        handled = {sign: signal.signal(sign, self._on_signal) for sign in (*ENDING, signal.SIGHUP)}
        try:
            yield
        finally:
            for sign, handler in handled.items():
                signal.signal(sign, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._loop.call_soon_threadsafe(self._spawn_reload)
            return
        self._signals += 1
        if self._signals == 1:
            at_terminal = number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
            self._loop.call_soon_threadsafe(self.leave, 0.0 if at_terminal else self.edge.config.server.grace)
        elif self._signals == 2:
            # The loop may be stuck: a thread makes sure of the end.
            threading.Thread(target=self._end_hard, daemon=True).start()
            self._loop.call_soon_threadsafe(self._force)

    def _end_hard(self) -> None:
        threading.Event().wait(HARD_END)
        os._exit(FORCED)

    def _force(self) -> None:
        log.warning("second signal: ending now")
        self.end_now()

    def end_now(self) -> None:
        """End without waiting for anything."""
        self.code = FORCED
        self.force_exit = self.should_exit = True
        if self._leaving is not None:
            self._leaving.cancel()
        self.edge.lifecycle.stop_running()

    # The drain

    def leave(self, grace: float) -> None:
        """Begin to drain: not ready at once, closed after `grace` seconds, gone when all is done or out of time."""
        if self._leaving is None:
            self.edge.lifecycle.phase = "leaving"
            self._leaving = asyncio.get_running_loop().create_task(self._leave(grace))

    async def _leave(self, grace: float) -> None:
        lifecycle = self.edge.lifecycle
        log.info("leaving: %d running, the port closes in %g s", len(lifecycle.running), grace)
        await asyncio.sleep(grace)
        self._close_port()
        lifecycle.phase = "draining"
        self.edge.router.turn_away()
        if not await lifecycle.idle(self.edge.config.server.drain):
            log.warning("draining: ending %d requests that still run", len(lifecycle.running))
            lifecycle.stop_running()
            await lifecycle.idle(LAST_WORDS)
        self.should_exit = True

    def _close_port(self) -> None:
        for server in self.servers:
            server.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.door.measure()
            self.application.reread(self.reload)
            self.serving()
            if self.watch:
                self._spawn(self._watch())

    async def on_tick(self, counter: int) -> bool:
        if counter % MEASURE_EVERY == 0:
            self.door.measure()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End every connection, then the application; never longer than a few seconds for the connections."""
        self._close_port()
        for task in tuple(self._tasks):
            task.cancel()
        for connection in self._connections():
            connection.shutdown()
        await self._emptied(FORCED_WAIT if self.force_exit else LAST_WORDS)
        for connection in self._connections():
            connection.transport.abort()
        await self._emptied(FORCED_WAIT)
        await self.lifespan.shutdown()
        log.info("ended")

    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))  # WebSockets among them, which do the same

    async def _emptied(self, timeout: float) -> None:
        end = asyncio.get_running_loop().time() + timeout
        state = self.server_state
        while (state.connections or state.tasks) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            # uvicorn keeps plain sets: nobody tells when they become empty.
            await asyncio.sleep(0.02)

    # Reloads

    async def reload(self) -> None:
        """Read the configuration and take it. Raises ValueError or OSError, with the old one in force."""
        async with self._reloading:
            try:
                config, keys = await asyncio.to_thread(self.read)
            except (ValueError, OSError):
                self.edge.metrics.config_rejected.inc()
                raise
            await self._take(config, keys)

    async def _take(self, config: Config, keys: Keys) -> None:
        for text in differences(self.edge.config, config):
            log.warning(text)
        await self.application.reload(config, keys)
        log.info("configuration taken")

    def _spawn_reload(self) -> None:
        self._spawn(self._reload_or_tell())

    async def _reload_or_tell(self) -> None:
        try:
            await self.reload()
        except (ValueError, OSError) as error:
            log.error("configuration refused, the old one stays in force: %s", error)

    async def _watch(self) -> None:
        """Take the configuration whenever what is read has changed; tell each problem once."""
        refused: str | None = None
        seen = (self.edge.config, self.edge.keys)
        while True:
            await asyncio.sleep(WATCH_EVERY)
            try:
                found = await asyncio.to_thread(self.read)
            except (ValueError, OSError) as error:
                if str(error) != refused:
                    refused = str(error)
                    self.edge.metrics.config_rejected.inc()
                    log.error("configuration refused, the old one stays in force: %s", error)
                continue
            refused = None
            if found != seen:
                seen = found
                await self._reload_or_tell()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
