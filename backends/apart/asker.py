"""Who asks for children: the process that forks them, a child, and the socket to it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from weakref import WeakKeyDictionary

from backends.apart import nursery

AT_ONCE = os.cpu_count() or 1
# How long one may wait for a child, where so many work already.
WAITING_SECONDS = 30.0
START_SECONDS = 30.0
LONGEST_REASON = 200
TRIES = 2
PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from backends.apart.nursery import main; main(sys.argv[1])"
LOADED = "import sys; sys.path[:] = sys.argv[2:]; from backends.apart.nursery import work; work(sys.argv[1]).warm()"
# Where our packages lie: an editable installation finds them by a hook that the process has not.
HOME = str(Path(__file__).parents[2])

log = logging.getLogger(__name__)


class NoDecoder(OSError):
    """Files cannot be decoded here now, which says nothing against any of them."""


class Child:
    """A process that decodes one file, and the socket to it. It does not outlive its context."""

    def __init__(self, talk: socket.socket) -> None:
        self._talk = talk
        self._loop = asyncio.get_running_loop()
        self._process: int | None = None

    async def hello(self) -> None:
        """Raises EOFError if it was never born."""
        (pid,) = nursery.HELLO.unpack(await self.exactly(nursery.HELLO.size))
        # It waits for us, so that the id is still its own.
        self._process = os.pidfd_open(pid) if sys.platform == "linux" else pid

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._talk, data)

    async def exactly(self, size: int) -> bytearray:
        """So many bytes of what it says. Raises EOFError for a child that died."""
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            more = await self._loop.sock_recv_into(self._talk, view[got:])
            if not more:
                raise EOFError
            got += more
        return data

    def __enter__(self) -> Child:
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


class Nursery:
    """The process that forks, and the socket to ask it by; started anew when it is gone, or in another process.

    `work` is the module whose work its children do: of this package, or any other by its full name.
    """

    def __init__(self, work: str) -> None:
        self.work = work
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None
        self._spare: socket.socket | None = None
        self._owner = 0
        self._all_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        atexit.register(self.close)

    def turn(self) -> asyncio.Semaphore:
        """To be held while a child works: there are as many as may at once."""
        return self._all_turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))

    @asynccontextmanager
    async def in_turn(self) -> AsyncGenerator[None]:
        """The same with an end to the wait. Raises NoDecoder."""
        turn = self.turn()
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise NoDecoder(NoDecoder.__doc__) from None
        try:
            yield
        finally:
            turn.release()

    async def born(self) -> Child:
        """A child that waits for its task. Raises NoDecoder."""
        for _ in range(TRIES):
            child = None
            try:
                child = Child(self._ask() if self._started else await asyncio.to_thread(self._ask))
                async with asyncio.timeout(START_SECONDS):
                    await child.hello()
            except (OSError, EOFError):
                if child is not None:
                    child.__exit__(None, None, None)
                await asyncio.to_thread(self.close)
            except BaseException:
                if child is not None:
                    child.__exit__(None, None, None)
                raise
            else:
                return child
        raise await asyncio.to_thread(self.no_decoder)

    @property
    def _started(self) -> bool:
        return self._asking is not None and self._owner == os.getpid()

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._forget()
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    self._command(PROGRAM),
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
        self._start()
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

    def _ask(self) -> socket.socket:
        """A socket to a new child. Raises OSError if nobody is there to bear one."""
        self._start()
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
        """End it; the next one who asks starts another."""
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

    def _command(self, program: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", program, self.work, HOME, *(path or os.getcwd() for path in sys.path)]

    def no_decoder(self) -> NoDecoder:
        """The error, once the log says why there is none."""
        try:
            tried = subprocess.run(  # noqa: S603 - our own program
                self._command(LOADED),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={},
                cwd="/",
                timeout=START_SECONDS,
            )
            reason = tried.stderr.decode(errors="replace").strip().rpartition("\n")[2][:LONGEST_REASON]
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
        log.error("the process of %s does not start: %s", self.work, reason or "it may lack memory or processes")
        return NoDecoder(NoDecoder.__doc__)
