"""Processes that take and work on jobs, as servers do, but for the HTTP: tests kill them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from openai_proxy.config import ModelConfig
from openai_proxy.errors import EdgeError
from openai_proxy.jobs.job import Job, JobEvent, State
from openai_proxy.jobs.result import Result
from openai_proxy.jobs.store import Filter
from tests.jobs.desk import Desk, desk

PATIENCE = 30.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", __name__, "openai_proxy.jobs.database", "alembic.command", "asyncpg"])


class Refused(Exception):
    """The name of an EdgeError."""


class Died(Exception):
    """The process is gone."""


class Office:
    """Such a process, from outside. What is asked is a method of `Clerk`."""

    def __init__(self, database: str, home: Path, *, slots: int = 4, load: float = 0.0, **settings: Any) -> None:
        self.pipe, theirs = _context.Pipe()
        arguments = (theirs, database, home, slots, load, settings)
        self.process = _context.Process(target=_open, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.answers: dict[int, Any] = {}
        self._asked = 0

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def send(self, name: str, *arguments: Any, **fields: Any) -> int:
        """Ask without waiting; the number under which the answer comes."""
        self._asked += 1
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send((self._asked, name, arguments, fields))
        return self._asked

    def ask(self, name: str, *arguments: Any, **fields: Any) -> Any:
        """What the method gives. Raises Refused, or Died."""
        return self.answer(self.send(name, *arguments, **fields))

    def answer(self, number: int, patience: float = PATIENCE) -> Any:
        """Raises Refused, or Died."""
        end = time.monotonic() + patience
        while number not in self.answers:
            assert time.monotonic() < end, "no answer"
            if not self.take(0.1):
                raise Died
        found = self.answers.pop(number)
        if isinstance(found, Exception):
            raise found
        return found

    def take(self, patience: float = 0.0) -> bool:
        """Read the answers that are there; False when no more will come."""
        try:
            while self.pipe.poll(patience):
                number, answer = self.pipe.recv()
                self.answers[number] = answer
                patience = 0.0
        except (EOFError, OSError):
            return False
        return True

    def kill(self) -> None:
        """End it at once; what it answered before is kept."""
        self.process.kill()
        self.process.join()
        self.take()

    def stop(self) -> None:
        """End it as a server ends."""
        if self.process.is_alive():
            self.send("stop")
            self.process.join(PATIENCE)
        if self.process.is_alive():
            self.kill()


class Clerk:
    """Such a process, inside."""

    def __init__(self, server: Desk) -> None:
        self.server = server
        self.jobs = server.jobs
        self.ended = asyncio.Event()
        self.log: list[str] = []

    async def submit(self, text: str, **fields: Any) -> str:
        """The id, once it is promised."""
        return (await self.jobs.submit(self.server.order(text, **fields))).id

    async def open(self) -> None:
        await self.jobs.open()

    async def get(self, id: str) -> Job:
        return await self.jobs.get(id, None)

    async def wait(self, id: str, timeout: float = PATIENCE) -> Job:
        return await self.jobs.wait(id, None, timeout)

    async def cancel(self, id: str) -> Job:
        return await self.jobs.cancel(id, None)

    async def retry(self, id: str) -> Job:
        return await self.jobs.retry(id, None)

    async def events(self, id: str) -> list[JobEvent]:
        return await self.jobs.events(id, None)

    async def text(self, id: str) -> str:
        return Result.of(await self.jobs.events(id, None)).text

    async def follow(self, id: str, after: int = 0) -> list[tuple[int, JobEvent, float]]:
        """Events with the time at which each came."""
        return [(number, event, time.monotonic()) async for number, event in self.jobs.follow(id, None, after)]

    async def page(self, limit: int = 10_000) -> list[tuple[int, Job]]:
        return await self.jobs.page(Filter(), limit)

    async def counts(self) -> dict[State, int]:
        return {kept.state: kept.number for kept in await self.jobs.store.counts()}

    async def running(self) -> int:
        """How many answers the engine is at."""
        return self.server.edge.router.find("echo").admission.running

    async def jump(self, seconds: float) -> None:
        """Have the clock on the wall go wrong by so much, from now on."""
        now = time.time
        time.time = lambda: now() + seconds

    async def sweep(self) -> None:
        """As a server does once a minute."""
        await self.jobs.worker._sweep()

    async def obey(self) -> None:
        """Be one whom the modes of files concern: before anything is opened."""
        if os.getuid() == 0:
            _give_up_capabilities()

    async def figures(self) -> tuple[float, list[str]]:
        """Seconds of CPU, and what was logged."""
        return time.process_time(), self.log

    async def stop(self) -> None:
        self.ended.set()


def _give_up_capabilities() -> None:
    """Source: capset(2), with version 3 of its header."""
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, nothing) == 0


def _open(pipe: Connection, database: str, home: Path, slots: int, load: float, settings: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(
        _serve(pipe, database, home, ModelConfig(backend="echo", slots=slots, options={"load": load}), settings)
    )


async def _serve(pipe: Connection, database: str, home: Path, model: ModelConfig, settings: dict[str, Any]) -> None:
    async with desk(database, home, models={"echo": model}, **settings) as server:
        clerk = Clerk(server)
        async with _listening(pipe, clerk):
            server.jobs.resume()
            await clerk.ended.wait()


@contextlib.asynccontextmanager
async def _listening(pipe: Connection, clerk: Clerk) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            while pipe.poll():
                task = loop.create_task(_answer(pipe, clerk, *pipe.recv()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except EOFError:
            clerk.ended.set()
            loop.remove_reader(pipe.fileno())

    logging.getLogger("openai_proxy").addHandler(_Kept(clerk.log))
    loop.add_reader(pipe.fileno(), read)
    yield
    loop.remove_reader(pipe.fileno())


async def _answer(pipe: Connection, clerk: Clerk, number: int, name: str, given: Any, fields: Any) -> None:
    try:
        answer = await getattr(clerk, name)(*given, **fields)
    except EdgeError as error:
        answer = Refused(type(error).__name__)
    pipe.send((number, answer))


class _Kept(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
