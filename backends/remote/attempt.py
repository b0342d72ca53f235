"""One try of a request at one upstream: what goes well, and what every way to fail means for both of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import inf
from typing import NoReturn

from backends.errors import BackendError, Busy, EngineFailed, Unavailable
from backends.events import Event
from backends.remote.bodies import call
from backends.remote.faults import fault
from backends.remote.http import Answer
from backends.remote.http.errors import AnswerTooLarge, Broken, HttpError, Malformed, NotConnected, Stale
from backends.remote.lease import Lease
from backends.remote.relay import NO_ANSWER, relayed
from backends.remote.server import Server
from backends.remote.unreadable import Unreadable
from backends.requests import Request

LARGEST_ERROR = 100_000
# After so many seconds without a sign of life it is the upstream that was given up, not the client that went.
SILENCE = 10.0
BROKE_OFF = "The server behind this model closed the connection before its answer was complete."
NOT_REACHED = "The server behind this model cannot be reached."


class Again(Exception):
    """A try failed with `error`. `safe`: no work was begun, so that another upstream may be asked."""

    def __init__(self, error: BackendError, *, safe: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.safe = safe


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
                await _refused(answer, server, lease)
            async with aclosing(relayed(answer, asked, request, server.secret.hide)) as events:
                async for event in events:
                    heard = inf  # what the client takes its time for is not the upstream's silence
                    yield event
                    heard = time.monotonic()
            lease.succeeded()
        finally:
            answer.close()
    except (asyncio.CancelledError, GeneratorExit):
        if time.monotonic() - heard > SILENCE:
            lease.failed("timeout")
        raise
    except HttpError as error:
        _failed(error, lease)
    except Unreadable as error:
        lease.failed("malformed")
        raise Again(EngineFailed(error.message), safe=False) from error


async def _refused(answer: Answer, server: Server, lease: Lease) -> NoReturn:
    """An answer with another status than 200."""
    error = fault(answer.status, await answer.whole(LARGEST_ERROR), answer.headers, server.secret.hide)
    if isinstance(error, Busy):
        lease.busy(error.retry_after)
        raise Again(error, safe=True)
    if answer.status >= 500:
        lease.failed("error")
        raise Again(error, safe=False)
    lease.succeeded()
    raise error


def _failed(error: HttpError, lease: Lease) -> NoReturn:
    match error:
        case NotConnected():
            lease.refused(str(error))
            raise Again(Unavailable(NOT_REACHED), safe=True) from error
        case Stale():
            raise Again(Unavailable(NOT_REACHED), safe=True) from error
        case Malformed() | AnswerTooLarge():
            lease.failed("malformed")
            raise Again(EngineFailed(NO_ANSWER), safe=False) from error
        case Broken() | _:
            lease.failed("broken")
            raise Again(EngineFailed(BROKE_OFF), safe=False) from error
