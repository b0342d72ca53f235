"""The backend `ray`: another backend's class as replicas of a Ray Serve deployment, behind Serve's handle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from backends import KINDS, Setup, State, resolve
from backends.errors import EngineFailed, OtherKind, Unavailable
from backends.events import Event
from backends.life import Life
from backends.ray import cluster
from backends.ray.aside import aside
from backends.ray.cluster import Deployment, Standing, digest
from backends.ray.options import MISSING, Options, installed
from backends.ray.replica import About, Replica
from backends.ray.stream import GONE, Stream
from backends.requests import Request

WATCH_EVERY = 0.5
# How often a request that no replica has begun is handed to another one, beside what Serve does itself.
TRIES = 2
# Seconds that running requests of a replica have when it is to end, and between two looks at whether they did.
LAST_WORDS, LOOK = 10.0, 0.2
# Seconds in which a cluster answers a question, and in which a deployment ends.
PATIENCE, ENDS_WITHIN = 5.0, 20.0

log = logging.getLogger("backends.ray")


class Ray:
    """A model on a Ray cluster. Options: `backends.ray.options.Options`."""

    resilient = True

    def __init__(self, setup: Setup) -> None:
        self.options = Options.read(setup.name, setup.options)
        wrapped = self.options.wrapped(setup)
        inner = resolve(self.options.backend)(wrapped)
        if not installed():
            raise ValueError(f"model {setup.name}: {MISSING}")
        self.model = inner.model
        self.slots = setup.slots or self.options.most * inner.slots
        self._life = Life(setup.changed)
        self._deployment = self._described(setup.name, wrapped, inner.slots)
        self._own = False
        self._handle: Any = None
        self._streams: set[Stream] = set()
        self._watcher: asyncio.Task[None] | None = None

    @staticmethod
    def check_together(setups: Sequence[Setup]) -> None:
        """A process can be in one cluster. Raises ValueError."""
        addresses = {Options.read(setup.name, setup.options).address for setup in setups}
        if len(addresses) > 1:
            raise ValueError(f"models on Ray must have one address, not {' and '.join(sorted(addresses))}")

    def _described(self, name: str, wrapped: Setup, slots: int) -> Deployment:
        settings = {
            **self.options.scale(slots),
            "ray_actor_options": self.options.actor(),
            "max_ongoing_requests": slots,
            "max_replicas_per_node": self.options.per_node,
            "health_check_period_s": cluster.HEALTH_PERIOD,
            "health_check_timeout_s": cluster.HEALTH_PATIENCE,
            "graceful_shutdown_timeout_s": LAST_WORDS,
            "graceful_shutdown_wait_loop_s": LOOK,
            "max_constructor_retry_count": cluster.TRIES,
        }
        fields = {field: getattr(wrapped, field) for field in wrapped.__struct_fields__ if field != "changed"}
        arguments = (self.options.backend, fields, self.options.beat)
        return Deployment(name, Replica, arguments, settings, digest(arguments, settings))

    @property
    def state(self) -> State:
        return self._life.state

    async def start(self) -> None:
        """Deploy it, unless the very same is there already, and return when the first replica has loaded."""
        with self._life.trying("looking for the cluster"):
            await aside(cluster.connect, self.options.address)
            cluster.take_signals_back()
            self._life.become(State("loading", "asking for replicas"))
            await self._deploy()
            standing = await self._loaded()
            self._handle = await aside(cluster.handle, self._deployment)
            about: About = await self._handle.options(method_name="about").remote()
        self.model = about.model
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self._deployment.name}")
        self._life.become(self._seen(standing))

    async def _deploy(self) -> None:
        """Deploy, and know that it is ours even if that is called off in the middle."""
        work = aside(cluster.deploy, self._deployment)
        try:
            self._own = await asyncio.shield(work) or self._own
        except asyncio.CancelledError:
            await asyncio.wait([work], timeout=PATIENCE)
            self._own = self._own or not work.done() or work.result()
            raise

    async def _loaded(self) -> Standing:
        """Wait until a replica lives. Raises EngineFailed with Serve's reason."""
        while True:
            standing = await aside(cluster.standing, self._deployment)
            if standing.running:
                return standing
            if standing.failed:
                raise EngineFailed(f"no replica could be started: {standing.note}")
            count = f"{standing.starting} of {self.options.replicas} replicas load"
            self._life.become(State("loading", f"{count}; {standing.note}" if standing.note else count))
            await asyncio.sleep(WATCH_EVERY)

    def _seen(self, standing: Standing) -> State:
        if standing.running:
            few = standing.running < self.options.replicas
            return State("ready", f"{standing.running} of {self.options.replicas} replicas" if few else "")
        if standing.failed:
            return State("failed", standing.note)
        return State("restarting", standing.note or "no replica lives")

    async def _watch(self) -> None:
        """Follow the deployment's state; when no replica lives, whoever has not begun need not wait."""
        question: asyncio.Future[Standing] | None = None
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if question is None or question.done():  # one that is not answered is not asked again
                question = aside(cluster.standing, self._deployment)
            await asyncio.wait([question], timeout=PATIENCE)
            if not question.done():
                standing = Standing(note="the Ray cluster does not answer")
            elif (error := question.exception()) is None:
                standing = question.result()
            elif isinstance(error, Unavailable):
                standing = Standing(note=str(error))
            else:
                raise error
            if not standing.running:
                for stream in tuple(self._streams):
                    stream.lose()
            self._life.become(self._seen(standing))

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request by one of the replicas; closing it early stops that one's work."""
        if KINDS[type(request)] not in self.model.kinds:
            raise OtherKind
        for left in reversed(range(TRIES)):
            if self._handle is None or self.state.name != "ready":
                raise Unavailable(GONE if self._handle is not None else "The engine was not started.")
            stream = Stream(self._handle)
            self._streams.add(stream)
            started = False
            try:
                async with aclosing(stream.events(request)) as events:
                    async for event in events:
                        started = True
                        yield event
                return
            except Unavailable:
                if started or not left:
                    raise
            finally:
                self._streams.discard(stream)

    async def close(self) -> None:
        """End the deployment, unless it was there before us."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None
        self._handle = None
        if self._own:
            self._own = False
            await self._delete()
        self._life.become(State("stopped"))

    async def _delete(self) -> None:
        work = aside(cluster.delete, [self._deployment.application])
        await asyncio.wait([work], timeout=ENDS_WITHIN)
        if work.done() and work.exception() is None:
            return
        reason = work.exception() if work.done() else "the cluster does not answer"
        work.cancel()
        log.warning("the deployment of model %s may still be there: %s", self._deployment.name, reason)
