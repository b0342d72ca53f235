"""The other end of `backends.spawn`: how a process of our own hears what to do and tells how that went."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T", bound=Struct)


class Loaded(Struct, frozen=True):
    """How a load went, as the process tells it: `error` is empty when it is ready, `about` what there is to know."""

    error: str = ""
    about: msgspec.Raw = msgspec.Raw(b"null")


class Parent:
    """Whoever started this process. It is heard on standard input, which ends when it is gone."""

    def __init__(self) -> None:
        # Replies leave on a private copy of standard output: whatever native code prints cannot be taken for one.
        self._replies = os.dup(1)
        os.dup2(2, 1)

    @property
    def said(self) -> BinaryIO:
        return sys.stdin.buffer

    def question(self, kind: type[T]) -> T:
        """One line of JSON."""
        return msgspec.json.decode(self.said.readline(), type=kind)

    def answer(self, answer: Struct) -> None:
        self.send(msgspec.json.encode(answer) + b"\n")

    def send(self, data: bytes) -> None:
        """All of it; nothing if nobody reads any more, which standard input tells as well."""
        view = memoryview(data)
        with contextlib.suppress(BrokenPipeError):
            while view:
                view = view[os.write(self._replies, view) :]


def outlast_signals() -> None:
    """A service manager signals all of a server's processes; running requests still want this one, which ends with
    its standard input.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
