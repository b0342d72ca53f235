"""The one door to webhooks: keeps them beside their jobs, and sees to it that each is told what it wants to hear.

A webhook is an errand, kept before its job is and held by the process that took the job. When that one dies another
goes on with it: so the end of a job is told at least once, under the same id. All else is told once, or not at all.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from openai_proxy.config import Config
from openai_proxy.errors import JobNotFound, StoreFailed, TooManyJobs
from openai_proxy.fetching.lookup import LookUp, Resolver
from openai_proxy.jobs.job import Job, Order
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.shelf import Errand
from openai_proxy.metrics import Metrics
from openai_proxy.webhooks.calling import Caller, Message
from openai_proxy.webhooks.schedule import pause

ORIGIN = "webhook"
WAITING = ("waiting",)
TOO_MANY = "Too many of your webhooks are not done with; try again when some are."
# So many are in hand at once in a process; others wait on the shelf, to be looked at again after so many seconds.
IN_HAND, LATER = 4096, 30.0
# A job that is not there after so many seconds was never promised to anybody.
YOUNG = 60.0
# How calls end that are the last ones.
OVER = frozenset({"delivered", "gone", "forgotten"})
# Looks a second at jobs that wait, of all webhooks together; seconds between two at one.
LOOKS, QUICKEST, SLOWEST = 200, 0.25, 10.0
# Between two tries where the store is away.
PAUSE = 1.0

log = logging.getLogger("openai_proxy.webhooks")


class Hook(Struct, frozen=True, kw_only=True):
    """What is kept of a webhook: who tells it (the name of its dialect), of which job, whose, and what `events`.

    `place` is the dialect's; ids of messages begin with `id`; the end of the job was told `tries` times in vain.
    """

    teller: str
    job: str
    owner: str
    url: str
    events: tuple[str, ...]
    place: str
    id: str = msgspec.field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    tries: int = 0


class Teller(Protocol):
    """What a dialect tells of a job. All may raise JobNotFound and StoreFailed."""

    def early(self, hook: Hook) -> AsyncGenerator[Message, None]:
        """What goes on, until the job has ended; what does not arrive is not told again."""
        ...

    async def last(self, hook: Hook) -> Message | None:
        """What is told when the job has ended, until it arrives; None: nothing is."""
        ...


class Webhooks:
    """`config` is asked each time: it may be reloaded. `look_up` may be put in the resolver's place."""

    def __init__(
        self, jobs: Jobs, metrics: Metrics, config: Callable[[], Config], look_up: LookUp | None = None
    ) -> None:
        self.jobs = jobs
        self.errands = jobs.errands
        self.metrics = metrics
        self.config = config
        self.caller = Caller(config, metrics, look_up or Resolver())
        self._tellers: dict[str, Teller] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_hand: dict[str, Errand] = {}
        self.errands.run_by(ORIGIN, self._run)

    def told_by(self, name: str, teller: Teller) -> None:
        """Have webhooks of that dialect told so."""
        self._tellers[name] = teller

    async def close(self) -> None:
        """Leave what is not done to another process, or the next one, before errands are given back."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def pace(self) -> float:
        """Seconds between two looks at a job that waits: more where many do, as each look costs the store something."""
        return min(SLOWEST, max(QUICKEST, len(self._tasks) / LOOKS))

    # They come

    async def accept(self, url: str, param: str) -> None:
        """Raises UrlNotAllowed where webhooks are off, or this address may not be called."""
        await self.caller.guard.accept(url, param)

    async def submit(self, order: Order, hook: Hook) -> Job:
        """Keep a job and its webhook for good, never the one without the other. Raises as `Jobs.submit` does.

        A job that there is already, by its key, has the webhook that it came with.
        """
        waiting = await self._count(hook.owner)
        if waiting >= self.config().webhooks.waiting:
            raise TooManyJobs(TOO_MANY)
        errand = Errand(
            id=f"{ORIGIN}/{hook.job}",
            origin=ORIGIN,
            owner=hook.owner,
            state="waiting",
            data=msgspec.msgpack.encode(hook),
            created=time.time(),
        )
        await self.errands.add(errand)
        self.errands.hold(errand)
        try:
            job = await self.jobs.submit(replace(order, id=hook.job))
        except asyncio.CancelledError:
            self._take(errand)  # the job may be there
            raise
        except BaseException:
            self._drop(errand)
            raise
        if job.id == hook.job:
            self._take(errand)
        else:
            self._drop(errand)
        return job

    async def _count(self, owner: str) -> int:
        await self.jobs.open()
        return await self.errands.count(ORIGIN, owner, WAITING)

    # They are in hand

    async def _run(self, errand: Errand) -> None:
        """Take over what somebody left, or what is to be tried again: in a task of its own, as it may take long."""
        mine = self._in_hand.get(errand.id)
        if mine is not None:  # it was held, but the store was away for too long
            mine.version = errand.version
            self.errands.hold(mine)
        elif len(self._tasks) < IN_HAND:
            self._take(copy.copy(errand))
        else:
            errand.due = time.time() + LATER
            await self.errands.save(errand)

    def _take(self, errand: Errand) -> None:
        if len(self._tasks) >= IN_HAND:
            self.errands.leave(errand)
            return
        self.errands.hold(errand)
        self._start(errand, self._see_to(errand))

    def _drop(self, errand: Errand) -> None:
        self._start(errand, self._done(errand))

    def _start(self, errand: Errand, work: Coroutine[Any, Any, None]) -> None:
        self._in_hand[errand.id] = errand
        task = self._tasks[errand.id] = asyncio.create_task(work, name=f"webhook {errand.id}")
        task.add_done_callback(partial(self._left, errand))

    def _left(self, errand: Errand, task: asyncio.Task[None]) -> None:
        del self._tasks[errand.id], self._in_hand[errand.id]
        if not task.cancelled() and task.exception() is not None:
            log.error("%s is tried again later", errand.id, exc_info=task.exception())
            self.errands.leave(errand)

    # They are told

    async def _see_to(self, errand: Errand) -> None:
        hook = msgspec.msgpack.decode(errand.data, type=Hook)
        await self._settle(errand, hook, await self._outcome(errand, hook))

    async def _outcome(self, errand: Errand, hook: Hook) -> str:
        """What came of it, however long the store may be away: as calls end, "failed" or "forgotten"."""
        while True:
            try:
                return await self._told(hook)
            except JobNotFound:
                if time.time() > errand.created + YOUNG:
                    return "forgotten"
            except StoreFailed as error:
                log.warning("webhook of job %s is tried again: %s", hook.job, error)
            except Exception:
                log.exception("webhook of job %s failed", hook.job)
                return "failed"
            await asyncio.sleep(PAUSE)

    async def _told(self, hook: Hook) -> str:
        teller = self._tellers.get(hook.teller)
        if teller is None:
            log.warning("webhook of job %s: nobody speaks for %s any more", hook.job, hook.teller)
            return "failed"
        if not hook.tries and await self._told_early(teller, hook) == "gone":
            return "gone"
        message = await teller.last(hook)
        if message is None:
            return "delivered"
        tries = self.config().webhooks.tries
        return await self.caller.call(hook.url, message, f"job {hook.job}, try {hook.tries + 1} of {tries}")

    async def _told_early(self, teller: Teller, hook: Hook) -> str:
        """How the last call ended. A receiver that does not take one hears no more before the end."""
        outcome = "delivered"
        async with aclosing(teller.early(hook)) as messages:
            async for message in messages:
                outcome = await self.caller.call(hook.url, message, f"job {hook.job}")
                if outcome != "delivered":
                    break
        return outcome

    # What comes of it is kept

    async def _settle(self, errand: Errand, hook: Hook, outcome: str) -> None:
        settings, tries = self.config().webhooks, hook.tries + 1
        if outcome not in OVER and tries < settings.tries:
            errand.data = msgspec.msgpack.encode(replace(hook, tries=tries))
            errand.due = time.time() + pause(tries, settings.tries, settings.retry_time)
            await self._save(errand)
            return
        if outcome != "delivered":
            self.metrics.webhooks_given_up.inc()
            log.warning("webhook of job %s is given up after %d tries: %s", hook.job, tries, outcome)
        await self._done(errand)

    async def _done(self, errand: Errand) -> None:
        errand.state, errand.due, errand.until = "done", None, time.time()
        await self._save(errand)

    async def _save(self, errand: Errand) -> None:
        """However long the store may be away. Who has it meanwhile, if somebody has, saves it."""
        while True:
            try:
                await self.errands.save(errand)
                return
            except StoreFailed as error:
                log.warning("%s is not saved yet: %s", errand.id, error)
                self.errands.hold(errand)
                await asyncio.sleep(PAUSE)
