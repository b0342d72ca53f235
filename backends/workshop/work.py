"""The engine's side: questions on their way, each step of an answer made in one of a few threads, in turn."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from backends.errors import BackendError
from backends.workshop.messages import (
    Alive,
    Asking,
    Beat,
    End,
    Failure,
    Leave,
    Look,
    More,
    Piece,
    Question,
    Telling,
    encode,
)

Tell = Callable[[Telling], None]


class Asked:
    """One question, as the engine sees it: `gone` once nobody wants its answer any more."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self.gone = False
        self.beat = beat


class Engine(Protocol):
    """A loaded engine; several threads call it. `question` is the type of what it is asked.

    `about` is what those who ask should know of it.
    """

    question: Any
    about: Any

    def answers(self, question: Any, asked: Asked) -> Iterator[Any]:
        """The pieces of an answer, each made when it is asked for. Raises Refused, or whatever went wrong.

        Where a piece takes long it calls `asked.beat` now and then, and looks whether whoever asked is `gone`.
        """


class Work:
    """All questions of one engine. `tell` may be called in any thread."""

    def __init__(self, engine: Engine, threads: int, tell: Tell) -> None:
        self._engine = engine
        self._tell = tell
        self._decode = msgspec.msgpack.Decoder(engine.question).decode
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._open: dict[int, Answering] = {}

    def take(self, message: Asking) -> None:
        """Only one thread calls it."""
        match message:
            case Question(number, content):
                beat = Asked(lambda: self._tell(Beat(number)))
                pieces = self._pieces(bytes(content), beat)
                self._open[number] = opened = Answering(number, pieces, beat, self._tell)
                opened.step(self._threads)
            case More(number):
                self._open[number].step(self._threads)
            case Leave(number):
                if (answering := self._open.pop(number, None)) is not None:
                    answering.leave(self._threads)
            case Look():
                self._tell(Alive())

    def _pieces(self, content: bytes, asked: Asked) -> Iterator[Any]:
        yield from self._engine.answers(self._decode(content), asked)


class Answering:
    """One answer on its way."""

    def __init__(self, number: int, pieces: Iterator[Any], asked: Asked, tell: Tell) -> None:
        self._number = number
        self._pieces = pieces
        self._asked = asked
        self._tell = tell
        self._step: Future[None] | None = None
        self._one = threading.Lock()

    def step(self, threads: ThreadPoolExecutor) -> None:
        """Make the next piece when a thread is free."""
        self._step = threads.submit(self._make)

    def leave(self, threads: ThreadPoolExecutor) -> None:
        """No more: what waits for a thread is not made, and what is being made is thrown away."""
        self._asked.gone = True
        if self._step is not None:
            self._step.cancel()
        threads.submit(self._close)

    def _make(self) -> None:
        with self._one:
            if not self._asked.gone:
                self._tell(self._made())

    def _made(self) -> Telling:
        try:
            for piece in self._pieces:
                return Piece(self._number, msgspec.Raw(encode(piece)))
        except BackendError as error:
            return Failure(self._number, type(error).__name__, error.message, error.param)
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and logs it
            return Failure(self._number, "", str(error)[:500], None, traceback.format_exc())
        return End(self._number)

    def _close(self) -> None:
        with self._one:
            close: Callable[[], None] | None = getattr(self._pieces, "close", None)
            if close is not None:
                close()
