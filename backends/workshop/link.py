"""The server's side of one process: questions that wait for their next piece, told apart by numbers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from msgspec import Raw

from backends import errors
from backends.errors import BackendError, EngineFailed, Unavailable
from backends.process import loaded
from backends.spawn import spawn
from backends.workshop.messages import (
    LENGTH,
    Alive,
    Asking,
    Beat,
    Failure,
    Leave,
    Load,
    Look,
    More,
    Piece,
    Question,
    Telling,
    encode,
    framed,
    telling,
)

log = logging.getLogger(__name__)


class Link:
    """Not yet begun. `about` is what the engine tells of itself, as JSON."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._numbers = itertools.count()
        self._waiting: dict[int, Waiting] = {}
        self._alive = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._over = False
        self.child: asyncio.subprocess.Process | None = None
        self.about = Raw()

    async def open(self) -> None:
        self.child = await spawn("backends.workshop.child")
        self.about = (await loaded(self.child, self._load)).about
        self._reading = asyncio.create_task(self._read(), name=f"hear {self._load.engine}")

    async def ask(self, question: Any) -> AsyncGenerator[Raw | None, None]:
        """The pieces of the answer; None for a sign of life between them. Closed early, no further one is made.

        Raises what the engine raises, EngineFailed when it ends or breaks, Unavailable when it had ended before.
        """
        if self._over:
            raise Unavailable
        number = next(self._numbers)
        content = Raw(encode(question))
        waiting = self._waiting[number] = Waiting()
        told: Telling | None = None
        try:
            await self._send(Question(number, content))
            while isinstance(told := await waiting.told(), Piece | Beat):
                if isinstance(told, Beat):
                    yield None
                else:
                    yield told.content
                    await self._send(More(number))
        finally:
            del self._waiting[number]
            # Not waited for: whoever leaves need not wait until it was heard.
            self._write(Leave(number))
        if isinstance(told, Failure):
            raise _error(told)

    async def beats(self, patience: float) -> bool:
        """Whether the process answers; its engine may be at work."""
        self._alive.clear()
        self._write(Look())
        try:
            async with asyncio.timeout(patience):
                await self._alive.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        self._end()

    def _write(self, message: Asking) -> None:
        if self.child is not None and self.child.stdin is not None and not self.child.stdin.is_closing():
            self.child.stdin.write(framed(message))

    async def _send(self, message: Asking) -> None:
        """Waits while the process takes nothing."""
        self._write(message)
        if self.child is not None and self.child.stdin is not None:
            with contextlib.suppress(ConnectionError):  # it has ended, which is told to all that wait
                await self.child.stdin.drain()

    async def _read(self) -> None:
        assert self.child is not None
        stream = self.child.stdout
        assert stream is not None
        try:
            while True:
                (size,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
                self._hear(telling(await stream.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except msgspec.MsgspecError as error:  # it is not to be understood any more
            log.error("an engine's process talks nonsense: %s", error)
            self.child.kill()
        finally:
            self._end()

    def _hear(self, message: Telling) -> None:
        if isinstance(message, Alive):
            self._alive.set()
        elif message.number in self._waiting:  # else it was left, and the answer was on its way
            self._waiting[message.number].tell(message)

    def _end(self) -> None:
        self._over = True
        for number, waiting in self._waiting.items():
            waiting.tell(Failure(number, EngineFailed.__name__, "The engine ended while it worked on this request."))


class Waiting:
    """One question: what was told last of it."""

    def __init__(self) -> None:
        self._message: Telling | None = None
        self._news = asyncio.Event()

    def tell(self, message: Telling) -> None:
        if not isinstance(message, Beat):
            self._message = message
        self._news.set()

    async def told(self) -> Telling:
        """The next message; beats that nobody waited for are one."""
        await self._news.wait()
        self._news.clear()
        message, self._message = self._message, None
        return message or Beat(0)


def _error(failure: Failure) -> BackendError:
    kind = getattr(errors, failure.kind, None) if failure.kind else None
    if kind is None:
        log.error("an engine failed: %s\n%s", failure.message, failure.trace)
        return EngineFailed()
    error: BackendError = kind(failure.message, param=failure.param)
    return error
