"""Sound that nobody vouches for, decoded in a process of its own that may use little and is killed at the end.

A process that has all of it loaded forks them (`audio.nursery`) and starts with the first sound, or when `warm` is
called. One child always waits, so that a short sound does not. Nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from weakref import WeakKeyDictionary

from audio import nursery
from audio.clip import WIDTH
from audio.decode import PIECE_SECONDS, RATE, BadSound, TooLong, told

AT_ONCE = os.cpu_count() or 1
# How long a few seconds of sound may take to decode, on a machine that is very busy.
PATIENCE = 20.0
START_SECONDS = 30.0
LONGEST_REASON = 200
# A piece is so many times as long as it should be where a file has very long frames: FLAC may have 8 seconds in one.
PIECES = 4
TRIES = 2
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from audio.nursery import main; main()"
LOADED = "import sys; sys.path[:] = sys.argv[1:]; import audio.nursery, av"
# Where this package lies: an editable installation finds it by a hook that the process has not.
HOME = str(Path(__file__).parents[1])

log = logging.getLogger(__name__)


class NoDecoder(OSError):
    """Sounds cannot be decoded here now, which says nothing against any of them."""


async def pieces_soon(data: bytes, longest: float, rate: int = RATE) -> AsyncGenerator[bytes, None]:
    """16-bit mono PCM of `rate` samples a second, some seconds at a time, each decoded when it is asked for.

    Raises BadSound, TooLong once there are more than `longest` seconds, NoDecoder, or ImportError without the package
    `av`. What a process could not decode within its limits is a BadSound.
    """
    told(data)
    _installed()
    turn = _turns()
    most, done = longest * rate * WIDTH + WIDTH, 0
    async with turn:
        child = await _born()
    with child:
        try:
            async with turn, asyncio.timeout(PATIENCE):
                await child.send(nursery.TASK.pack(longest, rate, len(data)))
                await child.send(data)
            while True:
                async with turn, asyncio.timeout(PATIENCE):
                    piece = await child.next_piece(PIECES * PIECE_SECONDS * rate * WIDTH)
                if not piece:
                    return
                done += len(piece)
                if done > most:
                    raise TooLong(f"it is longer than {longest:g} seconds")
                yield piece
        except (OSError, EOFError) as error:  # a timeout is an OSError too
            raise BadSound("it takes too much to read it") from error


def warm() -> None:
    """Starts the process that waits for work, if there is none, so that the first sound need not wait for it.

    Takes a moment; is safe in any thread. Raises NoDecoder, or ImportError without the package `av`.
    """
    _installed()
    if not _nursery.lives():
        raise _no_decoder()


def _installed() -> None:
    if importlib.util.find_spec("av") is None:
        raise ImportError("the package `av` is not installed")


class _Child:
    """A process that decodes one sound, and the socket to it. It does not outlive its context."""

    def __init__(self, talk: socket.socket) -> None:
        self._talk = talk
        self._loop = asyncio.get_running_loop()
        self._process: int | None = None

    async def hello(self) -> None:
        """Raises EOFError if it was never born."""
        (pid,) = nursery.HELLO.unpack(await self._exactly(nursery.HELLO.size))
        # It waits for us, so that the id is still its own.
        self._process = os.pidfd_open(pid) if sys.platform == "linux" else pid

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._talk, data)

    async def next_piece(self, most: int) -> bytes:
        """Empty at the end. Raises BadSound, TooLong, or EOFError for a child that died or talks nonsense."""
        await self.send(nursery.ASK)
        kind, size = nursery.ANSWER.unpack(await self._exactly(nursery.ANSWER.size))
        if size > most:
            raise EOFError
        data = await self._exactly(size)
        if kind in (nursery.SOUND, nursery.END):
            return data
        error = TooLong if kind == nursery.LONG else BadSound
        raise error(data.decode(errors="replace")[:LONGEST_REASON])

    async def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            more = await self._loop.sock_recv_into(self._talk, view[got:])
            if not more:
                raise EOFError
            got += more
        return bytes(data)

    def __enter__(self) -> _Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._talk.close()
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "linux":
                signal.pidfd_send_signal(process, signal.SIGKILL)
            else:
                os.kill(process, signal.SIGKILL)
        if sys.platform == "linux":
            os.close(process)


class _Nursery:
    """The process that forks, and the socket to ask it by; started anew when it is gone, or in another process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None
        self._spare: socket.socket | None = None
        self._owner = 0

    @property
    def started(self) -> bool:
        return self._asking is not None and self._owner == os.getpid()

    def start(self) -> None:
        with self._lock:
            if self.started:
                return
            self._forget()
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    _command(PROGRAM),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            ours.setblocking(False)
            self._asking, self._owner = ours, os.getpid()
            self._spare = self._asked()

    def lives(self) -> bool:
        """Whether the child that waits has said so; starts all that is needed."""
        self.start()
        with self._lock:
            if self._spare is None:
                return True  # somebody was faster, and has it
            self._spare.settimeout(START_SECONDS)
            try:
                return len(self._spare.recv(nursery.HELLO.size, socket.MSG_PEEK)) == nursery.HELLO.size
            except OSError:
                return False
            finally:
                self._spare.setblocking(False)

    def ask(self) -> socket.socket:
        """A socket to a new child. Raises OSError if nobody is there to bear one."""
        self.start()
        with self._lock:
            child, self._spare = self._spare, None
            child = child or self._asked()
            with contextlib.suppress(OSError):
                self._spare = self._asked()
            return child

    def _asked(self) -> socket.socket:
        assert self._asking is not None
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._asking, [nursery.ASK], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        return ours

    def close(self) -> None:
        with self._lock:
            self._forget()
            process, self._process = self._process, None
            if process is not None and self._owner == os.getpid():
                process.kill()
                process.wait()

    def _forget(self) -> None:
        for each in (self._asking, self._spare):
            if each is not None:
                each.close()
        self._asking = self._spare = None


_nursery = _Nursery()
atexit.register(_nursery.close)
_all_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _turns() -> asyncio.Semaphore:
    """As many as may decode at once."""
    return _all_turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))


async def _born() -> _Child:
    """A child that waits for its task. Raises NoDecoder."""
    for _ in range(TRIES):
        child = None
        try:
            child = _Child(_nursery.ask() if _nursery.started else await asyncio.to_thread(_nursery.ask))
            async with asyncio.timeout(START_SECONDS):
                await child.hello()
        except (OSError, EOFError):
            if child is not None:
                child.__exit__(None, None, None)
            await asyncio.to_thread(_nursery.close)
        except BaseException:
            if child is not None:
                child.__exit__(None, None, None)
            raise
        else:
            return child
    raise await asyncio.to_thread(_no_decoder)


def _command(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", program, HOME, *(path or os.getcwd() for path in sys.path)]


def _no_decoder() -> NoDecoder:
    """The error, once the log says why there is none."""
    try:
        tried = subprocess.run(  # noqa: S603 - our own program
            _command(LOADED), stdin=subprocess.DEVNULL, capture_output=True, env={}, cwd="/", timeout=START_SECONDS
        )
        reason = tried.stderr.decode(errors="replace").strip().rpartition("\n")[2][:LONGEST_REASON]
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(error)
    log.error("the process that decodes sounds does not start: %s", reason or "it may lack memory or processes")
    return NoDecoder(NoDecoder.__doc__)
