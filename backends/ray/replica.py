"""One engine on the cluster: a backend as it is in the process, behind Ray Serve's handle."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import Struct

from backends import Model, Setup, resolve
from backends.errors import EngineFailed
from backends.ray.gathering import Gathering
from backends.ray.messages import BEGUN, encode, told
from backends.requests import Request

# While so few streams run each event leaves at once: there is little to save.
CALM = 4

log = logging.getLogger("backends.ray")


class About(Struct, frozen=True):
    """What a replica knows of its model once it is loaded."""

    model: Model
    slots: int


class Replica:
    """A replica of a deployment: `backend` by its registry name, `setup` the fields of its Setup.

    It is ready once it is constructed.
    """

    async def __init__(self, backend: str, setup: dict[str, Any], beat: float) -> None:  # type: ignore[misc]
        self._running: dict[str, Gathering] = {}
        self._beat = beat
        self._backend = resolve(backend)(Setup(**setup))
        await self._backend.start()

    async def about(self) -> About:
        """What the edge has to know."""
        return About(self._backend.model, self._backend.slots)

    async def check_health(self) -> None:
        """Asked by Serve, which replaces a replica that raises."""
        if self._backend.state.name in ("failed", "stopped"):
            raise EngineFailed(self._backend.state.note or "the engine has failed")

    async def run(self, name: str, request: Request) -> AsyncGenerator[bytes]:
        """Answer a request in messages, the first of them `BEGUN`; `name` is the stream's."""
        yield BEGUN
        gathering = self._running[name] = Gathering(self._backend.run(request))
        try:
            async with aclosing(gathering.messages(self._beat if len(self._running) > CALM else 0.0)) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # a bug in an engine: its traceback stays here
            log.error("a request failed", exc_info=error)
            yield encode((told(EngineFailed("The engine had an internal error.")),))
        finally:
            del self._running[name]

    async def taken(self, name: str, size: int) -> None:
        """The edge has taken so many bytes of a stream; told to all replicas, as the handle cannot choose one."""
        gathering = self._running.get(name)
        if gathering is not None:
            gathering.taken(size)

    async def __del__(self) -> None:
        """Called and awaited by Serve when the replica ends."""
        await self._backend.close()
