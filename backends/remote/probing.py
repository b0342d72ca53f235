"""Asking the upstreams whether they are there: often those that are not, so that a return is noticed soon."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from math import inf
from typing import TypeAlias

from msgspec import Struct

from backends.remote.reports import Report
from backends.remote.upstream import Upstream

DOWN_EVERY = 1.0  # seconds
HURRY = 0.2  # seconds between two probes of one upstream, however often requests break there
JITTER = 0.2  # of a pause: many proxies in front of one upstream shall not ask it all at once

log = logging.getLogger(__name__)


class ProbeResult(Struct, frozen=True):
    """`good` if the upstream could answer requests. `refused` if no connection could be made: it is down for certain.

    `reason` says why it is not good, for operators; it holds no secret. `report` is what vLLM's metrics told, if asked.
    """

    good: bool
    refused: bool = False
    reason: str = ""
    report: Report = Report()


Probe: TypeAlias = Callable[[Upstream], Awaitable[ProbeResult]]


class Prober:
    """One task that starts a probe of each upstream when it is due; a probe that hangs holds no other one up.

    `every` and `timeout` are seconds; `clock` must be the event loop's, or run at its pace. `flipped` is told which
    upstream a probe found to be down that was not, or the other way round.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        probe: Probe,
        every: float,
        timeout: float,
        clock: Callable[[], float],
        flipped: Callable[[Upstream], None],
    ) -> None:
        self._upstreams = upstreams
        self._probe = probe
        self._every = every
        self._timeout = timeout
        self._clock = clock
        self._flipped = flipped
        self._due = dict.fromkeys(range(len(upstreams)), -inf)
        self._begun = dict.fromkeys(range(len(upstreams)), -inf)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Probe all at once, and go on. Needs a running event loop."""
        if self._loop is None:
            self._due = dict.fromkeys(self._due, -inf)
            self._wake = asyncio.Event()
            self._loop = asyncio.create_task(self._run(), name="probes", context=Context())

    async def close(self) -> None:
        """End all probes. Safe to call twice."""
        tasks = [each for each in (self._loop, *self._running.values()) if each is not None]
        self._loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    def hurry(self, upstream: Upstream) -> None:
        """Something broke there: look soon."""
        soon = self._begun[upstream.index] + HURRY
        self._due[upstream.index] = min(self._due[upstream.index], soon)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            for upstream in self._upstreams:
                if self._due[upstream.index] <= now and upstream.index not in self._running:
                    self._begin(upstream, now)
            waiting = [due for index, due in self._due.items() if index not in self._running]
            await self._pause(min(waiting, default=now + self._every) - now)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _begin(self, upstream: Upstream, now: float) -> None:
        self._begun[upstream.index] = now
        self._due[upstream.index] = inf  # until it has ended, or somebody is in a hurry
        # In a context of its own: it may be a request that asks for it, whose name and way it must not take.
        task = asyncio.create_task(self._one(upstream, now), name=f"probe of {upstream.name}", context=Context())
        self._running[upstream.index] = task

    async def _one(self, upstream: Upstream, began: float) -> None:
        try:
            result = await self._asked(upstream)
            now = self._clock()
            # A server with much to do may be slow to answer a probe; while it answers requests it is not down.
            if result.good or result.refused or upstream.answered < began:
                self._told(upstream, result, now)
            pause = min(DOWN_EVERY, self._every) if upstream.down or not result.good else self._every
            due = began + pause * (1 - JITTER * random.random())  # noqa: S311
            self._due[upstream.index] = min(self._due[upstream.index], due)
        finally:
            del self._running[upstream.index]
            self._wake.set()

    async def _asked(self, upstream: Upstream) -> ProbeResult:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._probe(upstream)
        except TimeoutError:
            return ProbeResult(False, reason=f"a probe had no answer within {self._timeout:g} s")
        except Exception as error:
            log.exception("the probe of upstream %s broke", upstream.name)
            return ProbeResult(False, reason=f"the probe broke: {type(error).__name__}")

    def _told(self, upstream: Upstream, result: ProbeResult, now: float) -> None:
        down = upstream.down
        upstream.probed(result.good, result.refused, result.reason, result.report, now)
        if upstream.down != down:
            self._flipped(upstream)
