"""The workers that there are: forked, told who takes whose connections, started again when they die."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from openai_proxy.workers.birth import Birth, Born, Child, Given
from openai_proxy.workers.board import Board
from openai_proxy.workers.channel import Channel
from openai_proxy.workers.frames import Message
from openai_proxy.workers.watcher import Watcher

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
DEATHS = 5
STEADY = 60.0

Listeners = Mapping[int, Sequence[socket.socket]]

log = logging.getLogger("openai_proxy.workers")


class Crew:
    """All workers of a supervisor. `listeners` are the sockets of each number; `given` tells what a new one is given.

    `heard` is called with every message, `gone` when one has ended and how, after its last words were heard.
    """

    def __init__(
        self,
        watcher: Watcher,
        board: Board,
        listeners: Listeners,
        given: Callable[[], Given],
        descriptors: int,
        heard: Callable[[Child, Message], None],
        gone: Callable[[Child, int], None],
    ) -> None:
        self._watcher = watcher
        self._board = board
        self._listeners = listeners
        self._given = given
        self._descriptors = descriptors
        self._heard = heard
        self._secret = secrets.token_bytes(32)
        self._gone = gone
        self._deaths: dict[int, int] = {}
        self.children: list[Child] = []

    def begin(self, number: int, *, first: bool = False) -> Child | None:
        """Fork a worker; None when too many of before still finish what runs. Raises Born in the new process."""
        row = next(iter(set(range(self._board.rows)) - {child.row for child in self.children}), None)
        if row is None:
            return None
        own, other = socket.socketpair()
        shared = self._board, self._listeners, self._given(), self._descriptors
        birth = Birth(number, row, other, *shared, first, self._secret)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.collect()
        gc.freeze()  # what is there now is not touched in the new process, and so stays in memory once
        pid = os.fork()
        if pid == 0:
            own.close()
            raise Born(birth)
        other.close()
        child = Child(number, row, pid, first=first)
        child.born = time.monotonic()
        child.channel = Channel(own, self._watcher, lambda message: self._heard(child, message))
        self.children.append(child)
        log.info("worker %d begins: process %d", number, pid)
        return child

    def serving(self, number: int | None = None) -> list[Child]:
        """Those that take connections, of that number or all."""
        return [child for child in self.children if child.phase == "serving" and number in (None, child.number)]

    def opened(self, child: Child) -> None:
        """It takes connections now: whoever did in its place goes."""
        before = self.serving(child.number)
        child.phase = "serving"
        self._board.serve(child.row, serving=True)
        for other in before:
            self.retire(other)
        self.tend()

    def retire(self, child: Child) -> None:
        child.phase = "retiring"
        self._board.serve(child.row, serving=False)
        child.channel.send(Message("retire"))

    def tend(self) -> None:
        """Let those that serve take connections from the listeners of those that do not.

        At the start of the server the first of them would otherwise take what belongs to all.
        """
        serving = self.serving()
        coming = {child.number for child in self.children if child.phase == "starting" and child.first}
        orphans = sorted(set(self._listeners) - {child.number for child in serving} - coming)
        for place, child in enumerate(serving):
            tended = [number for turn, number in enumerate(orphans) if turn % len(serving) == place]
            if child.tended != tended:
                child.tended = tended
                child.channel.send(Message("tend", tended))

    def reap(self) -> None:
        """See who has ended."""
        for child in tuple(self.children):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.channel.drain()
                child.channel.close()
                self.children.remove(child)
                self._board.clear(child.row)
                self.tend()
                self._gone(child, os.waitstatus_to_exitcode(status))

    def pause(self, child: Child) -> float | None:
        """Seconds until one that died is started again; None: it has died too often in a row."""
        lived = time.monotonic() - child.born
        deaths = self._deaths[child.number] = 1 if lived > STEADY else self._deaths.get(child.number, 0) + 1
        return None if deaths >= DEATHS else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (deaths - 1))

    def send(self, message: Message) -> None:
        for child in self.children:
            child.channel.send(message)

    def kill(self) -> None:
        for child in self.children:
            os.kill(child.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """In a new process: close what belongs to the supervisor alone."""
        for child in self.children:
            child.channel.close()


def how(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
