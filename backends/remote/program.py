"""The backend `program`: any server of OpenAI's API as a child of this one, in an environment of its own.

It is asked as an upstream of `remote` is, which this is beside that it starts the program, waits until it answers,
starts it again after a death and ends it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from shutil import which
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct, structs

from backends import Lack, Setup, State
from backends.errors import LoadFailed
from backends.life import Life
from backends.options import read_options
from backends.process import Process
from backends.remote.remote import Remote
from backends.remote.server import Server
from backends.remote.warden import Run, Started
from backends.spawn import ask, spawn

Text: TypeAlias = Annotated[str, Meta(min_length=1)]

PORT = "{port}"
LOOK_EVERY = 0.25


class ProgramOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set beside the options of `remote`."""

    command: Annotated[
        tuple[Text, ...], Meta(min_length=1, description="the program and its arguments; `{port}` in one is its port")
    ]
    environment: Annotated[dict[str, str], Meta(description="variables it gets beside this server's own")] = {}
    model: Annotated[Text | None, Meta(description="the model's name there; ours if absent")] = None
    start_timeout: Annotated[float, Meta(gt=0, le=7200, description="seconds until it has to answer")] = 600.0


class Program(Remote):
    """A model behind a program that this server runs. Options: `ProgramOptions`, and those of `remote`."""

    resilient = False
    shareable = False

    def __init__(self, setup: Setup) -> None:
        own, rest = _read(setup)
        self.program = own
        self._port = _free_port()
        program, *arguments = own.command
        self._command = (os.path.expanduser(program), *(word.replace(PORT, str(self._port)) for word in arguments))
        upstream: dict[str, Any] = {"url": f"http://127.0.0.1:{self._port}"}
        if own.model is not None:
            upstream["model"] = own.model
        super().__init__(structs.replace(setup, options=rest, upstreams=(upstream,)))
        self._life = Life(self._changed)
        self._process = Process(self._make_link, self._life, lambda: None)

    @property
    def pid(self) -> int | None:
        """Of the process that watches over the program."""
        return self._process.pid

    @staticmethod
    def lacking(setup: Setup) -> Iterator[Lack]:
        """The program, where it is not there."""
        own, _ = _read(setup)
        if which(os.path.expanduser(own.command[0])) is None:
            yield Lack(("options", "command"), f"model {setup.name}: there is no program {own.command[0]}")

    @property
    def state(self) -> State:
        if self._life.state.name != "ready":
            return self._life.state
        return super().state if self._started else State("loading", "waiting for its models")

    async def start(self) -> None:
        """Run the program, wait until it answers, and learn what it serves. Raises LoadFailed or OSError."""
        await self._process.start()
        await super().start()

    async def close(self) -> None:
        await super().close()
        await self._process.close()

    def _make_link(self) -> Link:
        server = Server(self.pool.upstreams[0].options, self.name, self.options)
        return Link(Run(self._command, self.program.environment), server, self.program.start_timeout)


class Link:
    """The program's warden: not yet begun. `server` is what it shall become, within `patience` seconds."""

    def __init__(self, run: Run, server: Server, patience: float) -> None:
        self._run = run
        self._server = server
        self._patience = patience
        self.child: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start the program; return when it answers. Raises LoadFailed or OSError."""
        self.child = await spawn("backends.remote.warden")
        line = await ask(self.child, self._run)
        started = msgspec.json.decode(line, type=Started) if line else Started(error="its warden ended")
        program = self._run.command[0]
        if started.error:
            raise LoadFailed(f"The program {program} could not be started: {started.error}")
        try:
            async with asyncio.timeout(self._patience):
                while not await _answers(self._server):
                    if self.child.returncode is not None:
                        raise LoadFailed(f"The program {program} ended before it answered.")
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError as error:
            raise LoadFailed(f"The program {program} did not answer within {self._patience:g} s.") from error

    async def beats(self, patience: float) -> bool:
        """Probes tell whether it answers."""
        return True

    async def close(self) -> None:
        await self._server.close()


async def _answers(server: Server) -> bool:
    try:
        async with asyncio.timeout(2.0):
            return (await server.probe()).good
    except TimeoutError:
        return False


def _read(setup: Setup) -> tuple[ProgramOptions, Mapping[str, Any]]:
    """Its own options, and those of `remote`. Raises ValueError."""
    if setup.upstreams:
        raise ValueError(f"model {setup.name}: program has no setting 'upstreams'; it takes options")
    names = ProgramOptions.__struct_fields__
    own = {name: value for name, value in setup.options.items() if name in names}
    rest = {name: value for name, value in setup.options.items() if name not in names}
    return read_options(ProgramOptions, f"model {setup.name}", "program", own), rest


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
