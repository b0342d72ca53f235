"""The jobs of an Infernet node. Each is an errand, whose containers' jobs are the job layer's: kept, run, told."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct, structs

from openai_proxy.config import Config
from openai_proxy.dialects.infernet.chains import ORIGIN, Chains, Failed, Work
from openai_proxy.dialects.infernet.inputs import kept
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.errands import Errands
from openai_proxy.jobs.shelf import Errand

Status: TypeAlias = Literal["running", "success", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
PENDING: tuple[Status, ...] = ("running",)
COMPLETED: tuple[Status, ...] = ("success", "failed")
CUT = "The stream ended early."

log = logging.getLogger("openai_proxy.infernet")


class Caller(Struct, frozen=True):
    """Who asks: the name that its jobs have for other protocols, and the address that they belong to here."""

    name: str
    address: str

    @property
    def owner(self) -> str:
        """Whose jobs these are: of an address, and where there are keys of one of them."""
        return self.address if self.name == "anonymous" else f"{self.address} {self.name}"


class Task(Struct, frozen=True, kw_only=True):
    """What is kept of a job. `streamed`: its client reads it as it is made; `recorded`: by hand, nothing is run for it.

    If it failed, `failed` is the number of the container that did and `error` why.
    """

    containers: tuple[str, ...]
    data: bytes
    caller: str = ""
    address: str = ""
    streamed: bool = False
    recorded: bool = False
    failed: int = 0
    error: str = ""


class Tasks:
    """`config` is asked each time: it may be reloaded."""

    def __init__(self, chains: Chains, errands: Errands, config: Callable[[], Config]) -> None:
        self.chains = chains
        self.errands = errands
        self.config = config
        errands.run_by(ORIGIN, self._run)

    # They come

    async def begin(self, caller: Caller, containers: Sequence[str], data: dict[str, Any]) -> str:
        """Keep a job for good, and run it in the background. Raises StoreFailed."""
        errand = self._errand(caller, containers, data, streamed=False)
        await self.errands.begin(errand)
        return errand.id

    async def hold(self, caller: Caller, containers: Sequence[str], data: dict[str, Any]) -> Errand:
        """Keep a job that is streamed: who asked runs it, as long as its client is there. Raises StoreFailed."""
        errand = self._errand(caller, containers, data, streamed=True)
        await self.errands.add(errand)
        return errand

    async def room(self, caller: Caller) -> int:
        """How many more jobs of somebody may be pending. Raises StoreFailed."""
        return self.config().jobs.queued - await self.errands.count(ORIGIN, caller.owner, PENDING)

    def _errand(self, caller: Caller, containers: Sequence[str], data: dict[str, Any], *, streamed: bool) -> Errand:
        task = Task(
            containers=tuple(containers[:1] if streamed else containers),
            data=kept(data),
            caller=caller.name,
            address=caller.address,
            streamed=streamed,
        )
        return Errand(
            id=str(uuid.uuid4()),
            origin=ORIGIN,
            owner=caller.owner,
            state="running",
            data=msgspec.msgpack.encode(task),
            created=time.time(),
        )

    async def record(
        self, caller: Caller, id: str, status: Status, containers: Sequence[str], data: dict[str, Any]
    ) -> bool:
        """Create or overwrite a job without running anything; False where it is somebody else's. Raises StoreFailed."""
        task = Task(containers=tuple(containers), data=kept(data), recorded=True)
        while True:
            there = (await self.errands.find([id])).get(id)
            if there is not None and (there.origin, there.owner) != (ORIGIN, caller.owner):
                return False
            errand = there or Errand(
                id=id, origin=ORIGIN, owner=caller.owner, state=status, data=b"", created=time.time()
            )
            errand.state, errand.data, errand.due = status, msgspec.msgpack.encode(task), None
            errand.until = time.time() + self.config().jobs.keep
            if await self.errands.save(errand):
                return True

    # They are run

    async def _run(self, errand: Errand) -> None:
        task = task_of(errand)
        if task.streamed:  # by a process that died: its client is gone with it
            await self.chains.cancel(errand.id)
            await self.end(errand, CUT)
            return
        try:
            await self.chains.run(work_of(errand))
        except Failed as failed:
            await self.end(errand, failed.why, failed.index)
        except StoreFailed:
            raise
        except Exception:
            log.exception("job %s failed", errand.id)
            await self.end(errand, "The server had an internal error.")
        else:
            await self.end(errand)

    async def end(self, errand: Errand, error: str | None = None, failed: int = 0) -> None:
        """Write down how a job ended, unless somebody did that by hand meanwhile. Raises StoreFailed."""
        errand.state = "success" if error is None else "failed"
        errand.data = msgspec.msgpack.encode(structs.replace(task_of(errand), failed=failed, error=error or ""))
        errand.due, errand.until = None, time.time() + self.config().jobs.keep
        await self.errands.save(errand)

    # They are asked for

    async def ids(self, caller: Caller, statuses: Collection[Status]) -> list[str]:
        """Somebody's jobs, the newest last. Raises StoreFailed."""
        return await self.errands.ids(ORIGIN, caller.owner, statuses)

    async def results(self, caller: Caller, ids: Sequence[str], intermediate: bool) -> list[dict[str, Any]]:
        """How somebody's jobs stand, in the order of their ids, as far as they are there. Raises StoreFailed."""
        found = await self.errands.find(ids)
        mine = [
            found[id] for id in ids if id in found and (found[id].origin, found[id].owner) == (ORIGIN, caller.owner)
        ]
        results = [await self._result(errand, intermediate) for errand in mine]
        return [result for result in results if result is not None]

    async def _result(self, errand: Errand, intermediate: bool) -> dict[str, Any] | None:
        """None where what it made is forgotten already."""
        task, work = task_of(errand), work_of(errand)
        result: dict[str, Any] | None = None
        last = len(task.containers) - 1
        if errand.state == "failed" and not task.recorded:
            result = {"container": task.containers[task.failed], "error": task.error}
        elif errand.state == "success" and not task.recorded:
            made = await self.chains.outputs(work, last, last)
            if not made:
                return None
            output = {"output": made[0]} if task.streamed else made[0]
            result = {"container": task.containers[last], "output": output}
        told: dict[str, Any] = {"id": errand.id, "status": errand.state, "result": result}
        if intermediate:
            made = [] if task.recorded else await self.chains.outputs(work, 0, last - 1)
            told["intermediate_results"] = [
                {"container": name, "output": output} for name, output in zip(task.containers, made, strict=False)
            ]
        return told


def task_of(errand: Errand) -> Task:
    """What is kept of a job."""
    return msgspec.msgpack.decode(errand.data, type=Task)


def work_of(errand: Errand) -> Work:
    """What its containers are to do."""
    task = task_of(errand)
    return Work(id=errand.id, containers=task.containers, data=task.data, owner=task.caller, address=task.address)
