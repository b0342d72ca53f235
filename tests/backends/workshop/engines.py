"""Engines that a workshop's process loads in these tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from msgspec import Struct

from backends.errors import LoadFailed, Refused
from backends.workshop import Asked


class Count(Struct, frozen=True):
    """Count to `to`; before each number a file of its name must be in the engine's folder, if `waits`.

    At the number `fails` goes wrong what `how` says.
    """

    to: int
    name: str = ""
    waits: bool = False
    fails: int = -1
    how: str = ""
    data: bytes = b""


class Counter:
    """It notes what it does in a file: one word a line."""

    question = Count

    def __init__(self, folder: str, broken: str = "") -> None:
        self.about = {"counts": True}
        print("what native code prints is no reply")
        if broken:
            raise LoadFailed(broken)
        self._folder = folder
        self._one = threading.Lock()

    def _note(self, word: str) -> None:
        with self._one, open(os.path.join(self._folder, "notes"), "a", encoding="ascii") as notes:
            notes.write(f"{word}\n")

    def answers(self, question: Count, asked: Asked) -> Iterator[int]:
        try:
            for number in range(question.to):
                while question.waits and not os.path.exists(os.path.join(self._folder, f"{question.name}{number}")):
                    asked.beat()
                    if asked.gone:
                        self._note("gone")
                        return
                    time.sleep(0.01)
                if number == question.fails:
                    self._fail(question.how)
                self._note(f"{question.name}{number}")
                yield number + len(question.data)
        finally:
            self._note("closed")

    def _fail(self, how: str) -> None:
        match how:
            case "refuse":
                raise Refused("no such number", param="to")
            case "break":
                raise KeyError("a bug")
            case "die":
                os._exit(9)
