"""Questions to several workers at once, answered by all of them or by those that do in time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from openai_proxy.workers.birth import Child
from openai_proxy.workers.frames import Message, What
from openai_proxy.workers.watcher import Watcher

Done = Callable[[dict[Child, Any]], None]


class Gathering:
    """One question: who has not answered yet, and what the others said."""

    def __init__(self, awaited: set[Child], done: Done) -> None:
        self.awaited = awaited
        self.answers: dict[Child, Any] = {}
        self.done = done


class Gatherings:
    """The questions that are open."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._open: dict[int, Gathering] = {}
        self._numbers = itertools.count(1)

    def ask(self, children: Iterable[Child], what: What, content: Any, timeout: float, done: Done) -> None:
        """Ask them; `done` is called once, with the answers of those who did within `timeout` seconds."""
        number = next(self._numbers)
        gathering = self._open[number] = Gathering(set(children), done)
        for child in tuple(gathering.awaited):
            child.channel.send(Message(what, content, number))
        self._watcher.later(timeout, lambda: self._finish(number))
        self._look(number)

    def answered(self, child: Child, message: Message) -> None:
        gathering = self._open.get(message.number)
        if gathering is not None and child in gathering.awaited:
            gathering.awaited.discard(child)
            gathering.answers[child] = message.content
            self._look(message.number)

    def gone(self, child: Child) -> None:
        """It will not answer any more."""
        for number, gathering in tuple(self._open.items()):
            gathering.awaited.discard(child)
            self._look(number)

    def _look(self, number: int) -> None:
        if number in self._open and not self._open[number].awaited:
            self._finish(number)

    def _finish(self, number: int) -> None:
        gathering = self._open.pop(number, None)
        if gathering is not None:
            gathering.done(gathering.answers)
