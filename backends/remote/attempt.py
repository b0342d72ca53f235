"""One try of a request at one upstream: what goes well, and what every way to fail means for both of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import NoReturn

from backends.errors import SILENT, BackendError, Busy, EngineFailed, Rejected, Unavailable
from backends.events import Event
from backends.remote.bodies import call
from backends.remote.faults import fault
from backends.remote.http import Answer
from backends.remote.http.errors import AnswerTooLarge, Broken, HttpError, Malformed, NotConnected, Stale
from backends.remote.lease import Lease
from backends.remote.relay import relayed
from backends.remote.server import Server
from backends.remote.unreadable import NO_ANSWER, Unreadable
from backends.requests import Request

LARGEST_ERROR = 100_000
# A client that leaves after so many seconds without a sign of life gave the upstream up.
SILENCE = 10.0
BROKE_OFF = "The server behind this model closed the connection before its answer was complete."
NOT_REACHED = "The server behind this model cannot be reached."


class Again(Exception):
    """A try failed with `error`. `safe`: no work was begun, so that another upstream may be asked; `elsewhere`: and
    only another one, as this one would say the same again.
    """

    def __init__(self, error: BackendError, *, safe: bool, elsewhere: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.safe = safe
        self.elsewhere = elsewhere


class Attempt:
    """Entering it asks, and gives the events of the answer: as they come, or all of a whole one. Leaving it ends them
    and tells the lease how it went. `model` is what the server calls the model.

    It is no generator of its own: each one more costs every event some time. Entering and leaving raise Again, and
    BackendError for what no other upstream would do better. `heard` is when there last was a sign of life, in monotonic
    seconds; whoever takes the events keeps it.
    """

    def __init__(self, server: Server, lease: Lease, request: Request, model: str) -> None:
        self._server = server
        self._lease = lease
        self._request = request
        self._model = model
        self._answer: Answer | None = None
        self._events: AsyncGenerator[Event, None] | list[Event] = []
        self.heard = time.monotonic()

    async def __aenter__(self) -> AsyncGenerator[Event, None] | list[Event]:
        server, request = self._server, self._request
        try:
            asked = call(request, self._model)
            answer = self._answer = await server.send(asked)
            self._lease.answered()
            if answer.status != 200:
                server.heard(answer.status)
                raise fault(answer.status, await _words(answer), answer.headers, server.secret.hide)
            events = self._events = await relayed(answer, asked, request, server.secret.hide)
        except BaseException as error:
            self._close(error)
            raise
        return events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if not isinstance(self._events, list):
                await self._events.aclose()
        finally:
            self._close(error)

    def _close(self, error: BaseException | None) -> None:
        """Let the answer go, and judge. Raises what `error` means, where that is something else."""
        lease = self._lease
        if self._answer is not None:
            self._answer.close()
        match error:
            case None:
                lease.succeeded()
            case asyncio.CancelledError() | GeneratorExit():
                if SILENT in error.args or time.monotonic() - self.heard > SILENCE:
                    lease.failed("timeout")
            case BackendError():
                _told(error, lease)
            case HttpError():
                _failed(error, lease)
            case Unreadable():
                lease.failed("malformed")
                raise Again(EngineFailed(error.message), safe=False) from error


async def _words(answer: Answer) -> bytes:
    """What a server says of its refusal; nothing where that has no end."""
    try:
        return await answer.whole(LARGEST_ERROR)
    except AnswerTooLarge:
        return b""


def _told(error: BackendError, lease: Lease) -> NoReturn:
    """The server said itself what was wrong: as its answer, or as an event."""
    if isinstance(error, Busy):
        lease.busy(error.retry_after)
        raise Again(error, safe=True, elsewhere=True) from error
    if isinstance(error, EngineFailed) or (isinstance(error, Rejected) and error.status >= 500):
        lease.failed("error")
        idle = isinstance(error, Rejected) and not error.started
        raise Again(error, safe=idle, elsewhere=idle) from error
    lease.succeeded()
    raise error


def _failed(error: HttpError, lease: Lease) -> NoReturn:
    match error:
        case NotConnected():
            lease.refused(error.reason)
            raise Again(Unavailable(NOT_REACHED), safe=True, elsewhere=True) from error
        case Stale():
            raise Again(Unavailable(NOT_REACHED), safe=True) from error
        case Malformed() | AnswerTooLarge():
            lease.failed("malformed")
            raise Again(EngineFailed(NO_ANSWER), safe=False) from error
        case Broken() | _:
            lease.failed("broken")
            raise Again(EngineFailed(BROKE_OFF), safe=False) from error
