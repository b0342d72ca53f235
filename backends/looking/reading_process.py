"""The process that reads pictures, one at a time: started with the first one, and ended when none has come for long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from backends.apart import Shown
from backends.errors import Overloaded
from backends.looking import child
from backends.looking.shapes import Answer, Reading
from backends.spawn import spawn

START_SECONDS = 60.0
# For one picture, on a machine that is very busy.
PATIENCE = 60.0
IDLE_SECONDS = 600.0
CHUNK = 1 << 18

log = logging.getLogger(__name__)


class Broken(OSError):
    """The process ended or does not answer."""


class Unsent(asyncio.CancelledError):
    """Canceled while the process waits for the rest of a picture."""


class ReadingProcess:
    """Asks it. `folder` finds the weights, and may take its time."""

    def __init__(self, folder: Callable[[], Awaitable[Path]], threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._asking: set[asyncio.Task[Reading]] = set()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def read(self, picture: Shown) -> Reading:
        """The words of RGB pixels; canceled, the process leaves the picture unread. Raises Overloaded."""
        # A task of its own: an answer that nobody waits for must be taken all the same before the next question.
        task = asyncio.create_task(self._in_turn(picture))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _in_turn(self, picture: Shown) -> Reading:
        async with self._turn:
            self._stay()
            try:
                return await self._asked(picture)
            except Broken as error:
                await self._end()
                log.error("pictures cannot be read: %s", error)
                raise Overloaded("Pictures cannot be read at the moment.") from error
            except Unsent:
                await self._end()
                raise
            except asyncio.CancelledError:
                await self._give_up()
                raise
            finally:
                self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._rest)

    async def _asked(self, picture: Shown) -> Reading:
        process = await self._started()
        assert process.stdin is not None
        try:
            await _sent(process.stdin, picture)
            answer = await _answer(process, PATIENCE)
        except ConnectionError as error:
            raise Broken("the process ended") from error
        if answer.reading is None:
            raise Broken(answer.error or "no reading came")
        return answer.reading

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            try:
                folder = await self._folder()
            except OSError as error:
                raise Broken(str(error)) from error
            self._process = await spawn("backends.looking.child", str(folder), str(self._threads))
            await _answer(self._process, START_SECONDS)
        return self._process

    async def _give_up(self) -> None:
        """Tell the process that its last picture is not wanted any more, and take its answer."""
        process = self._process
        try:
            if process is not None and process.stdin is not None:
                process.stdin.write(child.CANCEL)
                await _answer(process, PATIENCE)
        except (Broken, ConnectionError, asyncio.CancelledError):
            await self._end()

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        if not self._turn.locked():
            process, self._process = self._process, None
            if process is not None:
                _kill(process)

    async def close(self) -> None:
        """End it. Safe to call twice."""
        self._stay()
        for task in self._asking:
            task.cancel()
        await self._end()
        await asyncio.gather(*self._asking, return_exceptions=True)
        self._stay()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            await process.wait()


async def _sent(sink: asyncio.StreamWriter, picture: Shown) -> None:
    """Not as one: what a pipe does not take at once would be moved about again and again."""
    sink.write(child.PICTURE + child.SIDES.pack(picture.width, picture.height))
    pixels = memoryview(picture.data)
    for start in range(0, len(pixels), CHUNK):
        sink.write(pixels[start : start + CHUNK])
        try:
            await sink.drain()
        except asyncio.CancelledError as error:
            raise Unsent from error


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _answer(process: asyncio.subprocess.Process, patience: float) -> Answer:
    """Raises Broken."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(patience):
            line = await process.stdout.readline()
        answer = msgspec.json.decode(line, type=Answer) if line else Answer(error="the process ended")
    except (TimeoutError, ValueError) as error:
        raise Broken("the process does not answer") from error
    if answer.error:
        raise Broken(answer.error)
    return answer
