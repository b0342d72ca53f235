"""The server's side of an engine: one process at a time, started again when it dies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from backends.life import Life
from backends.process import Process
from backends.workshop.link import Link
from backends.workshop.messages import Load

A = TypeVar("A")
T = TypeVar("T")


class Workshop(Generic[A]):
    """The engine of class `engine` ("module:Class"); `answer` is the type of the pieces of its answers.

    `died` is called when it ended unasked.
    """

    def __init__(self, engine: str, answer: Any, life: Life, died: Callable[[], None], *, threads: int) -> None:
        self._load = Load(engine=engine, options={}, threads=threads)
        self._decode: Callable[[msgspec.Raw], A] = msgspec.msgpack.Decoder(answer).decode
        self._process = Process(lambda: Link(self._load), life, died)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def start(self, options: Mapping[str, Any] | None = None) -> None:
        """Load with these options, which JSON can say. Raises LoadFailed or OSError."""
        self._load = msgspec.structs.replace(self._load, options=dict(options or {}))
        await self._process.start()

    async def close(self) -> None:
        """End it. Safe to call twice."""
        await self._process.close()

    def about(self, kind: type[T]) -> T:
        """What the engine tells of itself. Raises Unavailable while it is not loaded."""
        return msgspec.json.decode(self._process.link.about, type=kind)

    async def ask(self, question: Struct) -> AsyncGenerator[A | None, None]:
        """The pieces of an answer, none of which is made before it is asked for; None for a sign of life between them.

        Raises Unavailable, EngineFailed, or what the engine raises.
        """
        async with aclosing(self._process.link.ask(question)) as pieces:
            async for piece in pieces:
                yield None if piece is None else self._decode(piece)
