"""The life of an engine's process: spawn, load, watch, start again after a death, end.

The child gets what to load, with the key of its socket, on standard input, never as arguments. It runs in a session
of its own, so that Ctrl-C in a terminal does not reach it, and ends by itself when its standard input does, so that
neither it nor the folder of its socket can outlive us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable

import msgspec
from msgspec import structs

from backends import State
from backends.errors import BackendError, EngineFailed, Unavailable
from backends.llama_cpp.child import Load, Loaded
from backends.llama_cpp.client import Client
from backends.spawn import ask, spawn

log = logging.getLogger(__name__)

TRIES = 5
LONGEST_BACKOFF = 60.0
HEALTHY_AFTER = 60.0
HEARTBEAT = 5.0
# A long prompt on a busy machine keeps the engine's loop from answering for many seconds; that is not a death.
SILENCE = 60.0
GRACE = 2.0


class LoadFailed(BackendError):
    """The engine could not load the model."""


class Process:
    """One engine and its restarts. `client` is there while it is ready.

    `changed` is called after each change of `state`, `died` when a running engine ended unasked.
    """

    def __init__(self, load: Load, changed: Callable[[], None], died: Callable[[], None]) -> None:
        self._load = load
        self._changed = changed
        self._died = died
        self._child: asyncio.subprocess.Process | None = None
        self._client: Client | None = None
        self._watch: asyncio.Task[None] | None = None
        self._folder = ""
        self._retry_at = 0.0
        self.state = State("stopped")

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def client(self) -> Client:
        """Raises Unavailable while the engine is not ready."""
        if self._client is None or self.state.name != "ready":
            wait = self._retry_at - asyncio.get_running_loop().time()
            raise Unavailable(retry_after=max(1.0, wait))
        return self._client

    async def start(self) -> None:
        """Load and return when the engine answers. Raises LoadFailed or OSError."""
        self._become(State("loading", "starting the engine"))
        try:
            await self._spawn()
        except (LoadFailed, OSError):
            await self._end()
            self._become(State("failed"))
            raise
        self._become(State("ready"))
        self._watch = asyncio.create_task(self._keep_alive())

    async def close(self) -> None:
        """End the child. Safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._end()
        self._become(State("stopped"))

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    async def _spawn(self) -> None:
        self._folder = _private_folder()
        load = structs.replace(
            self._load, socket=os.path.join(self._folder, "engine.sock"), key=secrets.token_urlsafe(32)
        )
        self._child = await spawn("backends.llama_cpp.child")
        line = await ask(self._child, load)
        if not line:
            raise LoadFailed(f"The engine ended while loading (exit status {await self._child.wait()}).")
        loaded = msgspec.json.decode(line, type=Loaded)
        if loaded.error:
            raise LoadFailed(f"The engine could not load the model: {loaded.error[:500]}")
        self._client = Client(load.socket, load.key)

    async def _keep_alive(self) -> None:
        """Watch the child; when it dies start it again, TRIES times at most unless it was well for a while."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began = loop.time()
            await self._until_death()
            tries = 0 if loop.time() - began > HEALTHY_AFTER else tries
            self._become(State("restarting", "the engine ended unexpectedly"))
            self._died()
            tries = await self._revive(tries)
            if not tries:
                return

    async def _revive(self, tries: int) -> int:
        """Start the child again; how many tries that has taken now, 0 when it was given up."""
        loop = asyncio.get_running_loop()
        while tries < TRIES:
            await self._end()
            backoff = min(LONGEST_BACKOFF, 2.0**tries)
            self._retry_at = loop.time() + backoff
            tries += 1
            await asyncio.sleep(backoff)
            try:
                await self._spawn()
            except (LoadFailed, OSError) as error:
                log.warning("engine did not start again: %s", error)
            else:
                self._become(State("ready"))
                return tries
        await self._end()
        self._become(State("failed", f"the engine died and did not come back in {TRIES} tries"))
        return 0

    async def _until_death(self) -> None:
        """Return when the child has exited; a child that has gone silent is killed."""
        if self._child is None:
            return
        exited = asyncio.create_task(self._child.wait())
        silent_since: float | None = None
        loop = asyncio.get_running_loop()
        try:
            while not (await asyncio.wait({exited}, timeout=HEARTBEAT))[0]:
                if await self._beats():
                    silent_since = None
                    continue
                silent_since = silent_since or loop.time()
                if loop.time() - silent_since > SILENCE:
                    log.warning("engine %s is silent for %d s: killed", self.pid, SILENCE)
                    _signal(self._child, signal.SIGKILL)
        finally:
            exited.cancel()

    async def _beats(self) -> bool:
        """Whether the engine's own loop turns: /slots is answered by it, /health by any thread of the server."""
        if self._client is None:
            return False
        try:
            await self._client.get("/slots", object, seconds=HEARTBEAT)
        except (TimeoutError, EngineFailed, Unavailable):
            return False
        return True

    async def _end(self) -> None:
        """End the child (gently for GRACE seconds), close the client, remove the socket's folder."""
        client, self._client = self._client, None
        child, self._child = self._child, None
        folder, self._folder = self._folder, ""
        # The child first: its end is what wakes the requests that still wait for an answer.
        if child is not None:
            await _end(child)
        if client is not None:
            await client.close()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    _signal(child, signal.SIGTERM)  # for one that still loads: it does not hear of its input's end
    try:
        async with asyncio.timeout(GRACE):
            await child.wait()
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.wait()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)


def _private_folder() -> str:
    """A new folder that only we may enter, short enough for the 108 bytes of a socket's address."""
    folder = tempfile.mkdtemp(prefix="openai-proxy-")
    if len(folder) > 90:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="openai-proxy-", dir="/tmp")
    return folder
