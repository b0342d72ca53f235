"""One try of a request at one upstream: what goes well, and what every way to fail means for both of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import inf
from typing import NoReturn

from backends.errors import SILENT, BackendError, Busy, EngineFailed, Rejected, Unavailable
from backends.events import Event
from backends.remote.bodies import call
from backends.remote.faults import fault
from backends.remote.http.errors import AnswerTooLarge, Broken, HttpError, Malformed, NotConnected, Stale
from backends.remote.lease import Lease
from backends.remote.relay import NO_ANSWER, relayed
from backends.remote.server import Server
from backends.remote.unreadable import Unreadable
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


async def attempt(server: Server, lease: Lease, request: Request, model: str) -> AsyncGenerator[Event, None]:
    """The events of the answer; the lease is told how it went. `model` is what the server calls it.

    Raises Again, and BackendError for what no other upstream would do better.
    """
    asked = call(request, model)
    heard = time.monotonic()
    try:
        answer = await server.send(asked)
        try:
            lease.answered()
            if answer.status != 200:
                raise fault(answer.status, await answer.whole(LARGEST_ERROR), answer.headers, server.secret.hide)
            async with aclosing(relayed(answer, asked, request, server.secret.hide)) as events:
                async for event in events:
                    heard = inf  # what the client takes its time for is not the upstream's silence
                    yield event
                    heard = time.monotonic()
            lease.succeeded()
        finally:
            answer.close()
    except (asyncio.CancelledError, GeneratorExit) as error:
        if SILENT in error.args or time.monotonic() - heard > SILENCE:
            lease.failed("timeout")
        raise
    except BackendError as error:
        _told(error, lease)
    except HttpError as error:
        _failed(error, lease)
    except Unreadable as error:
        lease.failed("malformed")
        raise Again(EngineFailed(error.message), safe=False) from error


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
            lease.refused(str(error))
            raise Again(Unavailable(NOT_REACHED), safe=True, elsewhere=True) from error
        case Stale():
            raise Again(Unavailable(NOT_REACHED), safe=True) from error
        case Malformed() | AnswerTooLarge():
            lease.failed("malformed")
            raise Again(EngineFailed(NO_ANSWER), safe=False) from error
        case Broken() | _:
            lease.failed("broken")
            raise Again(EngineFailed(BROKE_OFF), safe=False) from error
