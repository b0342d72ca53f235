"""Grammars through the worker, one at a time, remembered; a worker that dies or stalls is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict

import msgspec

from backends.constraints.compile import Compiled, Job
from backends.errors import EngineFailed, Refused, SchemaTooComplex, Unsupported
from backends.spawn import ask, spawn

REMEMBERED = 128
START_SECONDS = 30.0
# The worker's own limit is processor time; this one is for a worker that waits or a machine that is very busy.
WALL_SECONDS = 10.0
LONGEST_REASON = 200
PRINT = re.compile(r"\n\s*\d+ \|")
PLACE = re.compile(r"^(at )?\d+\(\d+\): |failed to compile JSON schema: ")
KINDS = {"invalid": Refused, "complex": SchemaTooComplex, "unsupported": Unsupported}


class Compiler:
    """Tries grammars. The worker starts with the first one."""

    def __init__(self) -> None:
        self._worker: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._known: OrderedDict[Job, Compiled | None] = OrderedDict()

    async def grammar(self, job: Job, param: str) -> str:
        """What to give the engine. Raises Refused (invalid), Unsupported or SchemaTooComplex, naming `param`."""
        if job not in self._known:
            async with self._turn:
                if job not in self._known:
                    self._known[job] = await self._compiled(job)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        result = self._known.get(job)
        if job in self._known:
            self._known.move_to_end(job)
        if result is None:
            raise SchemaTooComplex(param=param)
        if result.error:
            raise KINDS[result.kind](f"{param}: {_one_line(result.error)}", param=param)
        return result.grammar

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()

    async def _compiled(self, job: Job) -> Compiled | None:
        """None when the worker ran into a limit."""
        try:
            worker = await self._running()
            line = await asyncio.wait_for(ask(worker, job), WALL_SECONDS)
        except TimeoutError:
            line = b""
        except BaseException:
            # Cancelled with an answer on its way: the next question would get it.
            await self.close()
            raise
        if not line:
            await self.close()
            return None
        return msgspec.json.decode(line, type=Compiled)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._worker is None:
            self._worker = await spawn("backends.constraints.compile")
            if self._worker.stdout is not None:
                ready = await asyncio.wait_for(self._worker.stdout.readline(), START_SECONDS)
                if not ready:
                    raise EngineFailed("The worker that checks grammars did not start; is llguidance installed?")
        return self._worker


def _one_line(text: str) -> str:
    """Without the library's print of the grammar that we made, and its places in it."""
    said = PRINT.split(text)[0]
    return " ".join(PLACE.sub("", said).split())[:LONGEST_REASON]
