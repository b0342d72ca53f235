"""The supervisor's end of the sockets that lead to one worker. It never waits for that worker."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

from openai_proxy.workers.frames import Frames, Message, frame
from openai_proxy.workers.watcher import Watcher

PIECE = 262_144


class Channel:
    """Calls `heard` with each message that comes. That the other end is closed has no meaning: a signal tells it."""

    def __init__(self, own: socket.socket, watcher: Watcher, heard: Callable[[Message], None]) -> None:
        self._socket = own
        self._watcher = watcher
        self._heard = heard
        self._frames = Frames()
        self._unsent = bytearray()
        self.closed = False
        own.setblocking(False)
        watcher.watch(own.fileno(), select.POLLIN, self._on_events)

    def send(self, message: Message) -> None:
        if self.closed:
            return
        self._unsent += frame(message)
        self._flush()

    def drain(self) -> None:
        """Hear all that is there."""
        while not self.closed and self._read():
            pass

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._watcher.forget(self._socket.fileno())
            self._socket.close()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # an end is read, not written
            while self._unsent:
                sent = self._socket.send(self._unsent[:PIECE])
                del self._unsent[:sent]
        events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._watcher.watch(self._socket.fileno(), events, self._on_events)

    def _on_events(self, events: int) -> None:
        if events & select.POLLOUT:
            self._flush()
        if events & ~select.POLLOUT:
            self._read()

    def _read(self) -> bool:
        try:
            data = self._socket.recv(PIECE)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        for message in self._frames.feed(data):
            self._heard(message)
        if not data:
            self.close()
        return bool(data)
