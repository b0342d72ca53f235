"""One answer as it comes from a replica."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from backends.errors import BackendError, EngineFailed, Unavailable
from backends.events import Event
from backends.ray.messages import WEIGHT, WINDOW, Failed, decode, raised
from backends.requests import Request

DIED = "The engine of this model died while it worked on this request."
GONE = "No engine of this model lives at the moment."


class Stream:
    """The way of one request through a handle. `begun` once a replica has it; `lost` when none will ever begin."""

    def __init__(self, handle: Any) -> None:
        self.begun = False
        self.lost = False
        self._handle = handle
        self._response: Any = None

    def lose(self) -> None:
        """No replica lives: what has not begun need not wait for one."""
        if not self.begun and self._response is not None:
            self.lost = True
            self._response.cancel()

    async def events(self, request: Request) -> AsyncGenerator[Event, None]:
        """The answer's events; closing it early stops the replica's work. Raises as the replica's backend does.

        Where the replica dies: Unavailable if it had not begun, else EngineFailed.
        """
        name = secrets.token_hex(8)
        self._response = self._handle.options(method_name="run", stream=True).remote(name, request)
        ended = False
        try:
            with self._failures():
                taken = told = 0
                async for message in self._response:
                    if not self.begun:
                        self.begun = True
                        continue
                    for event in decode(message):
                        if type(event) is Failed:
                            ended = True
                            raise raised(event)
                        yield event  # type: ignore[misc]  # what is left is an Event
                    taken += len(message) + WEIGHT
                    if taken - told > WINDOW // 2:
                        told = taken
                        await self._handle.broadcast("taken", name, taken).results_async(return_exceptions=True)
                ended = True
        finally:
            if not ended:
                self._response.cancel()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Ray's errors in our words."""
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        try:
            yield
        except BackendError:
            raise
        except asyncio.CancelledError:
            if self.lost:
                raise Unavailable(GONE) from None
            raise
        except (RayError, RayServeException) as error:
            if self.begun:
                raise EngineFailed(DIED) from error
            raise Unavailable(GONE) from error
