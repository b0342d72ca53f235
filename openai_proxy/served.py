"""One model as the router sees it: its engine and whether that is there, the slots in front of it and its circuit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import get_args

from msgspec import structs

from backends import Backend, Model, State, StateName, UnknownUpstream, UpstreamState, discovered, resolve
from backends.errors import Unavailable
from backends.events import Usage
from openai_proxy.circuit import Circuit
from openai_proxy.company import Company, Order, Standing, Steer
from openai_proxy.config import ModelConfig
from openai_proxy.errors import EdgeError, NotFound, QueueTimeout, WrongState
from openai_proxy.metrics import Metrics
from openai_proxy.presence import Place, Presence

AIMS: dict[Order, Place] = {"load": "ready", "unload": "unloaded", "sleep": "sleeping", "wake": "ready"}

# Seconds after which a client is told to come back: while the engine is on its way, or an operator has to act.
SHORT_WAIT, LONG_WAIT = 2.0, 120.0

log = logging.getLogger("openai_proxy.models")


class Served:
    """A configured model. Raises ValueError when its backend does not exist or refuses the options.

    Where its engine `discovers` models, it is a table of those: its own name then is no model's.
    `well` says that a request need not wait for the engine, `on_demand` that one would bring it back; a `resilient`
    backend looks after retries and failures by itself. `patience` tells
    how many seconds what runs may take to end.
    """

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        metrics: Metrics,
        changed: Callable[[], None],
        patience: Callable[[], float],
        company: Company | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.company = company or Company(name)
        self.created = self.company.created
        self.well = False
        self.on_demand = config.load == "request"
        self._tell = changed
        self._patience = patience
        self._restarting = False
        self.backend: Backend = resolve(config.backend)(config.setup(name, self.changed))
        self.discovers = discovered(self.backend) is not None
        self._inherited: Mapping[str, Model] = {}
        self._own: tuple[Model, Model] | None = None
        self.admission = self.company.admission(config.slots or self.backend.slots, config.queue, config.queue_tokens)
        self.resilient: bool = getattr(self.backend, "resilient", False)
        self.circuit = Circuit(watch=not self.resilient)
        self.counted = Counted(name, metrics)
        self.presence = Presence(name, self.backend, self._finished, self.changed)
        self._idling: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        return self._seen(self.backend.model)

    @property
    def discovered(self) -> Mapping[str, Model]:
        """The models that its engine found by itself; while it loads, those that `heir_of` gave it."""
        found = discovered(self.backend) or {}
        return found if found or self.presence.there else self._inherited

    def heir_of(self, former: Served) -> None:
        """It takes the place of another one: requests for what that one found shall wait until this one is loaded.

        And what that one's engine has learnt of servers behind both is not forgotten.
        """
        if self.discovers:
            self._inherited = former.discovered
        inherit: Callable[[Backend], None] | None = getattr(self.backend, "inherit", None)
        if inherit is not None and type(self.backend) is type(former.backend):
            inherit(former.backend)

    def known(self, name: str | None) -> Model:
        """What is known of the model that a client calls `name`."""
        found = self.discovered.get(name or "")
        return self.model if found is None else self._seen(found)

    def _seen(self, model: Model) -> Model:
        """What clients are told of it: pictures may be read for it, and are shrunk as the configuration says."""
        config = self.config
        if config.vision is None and config.image_side is None:
            return model
        if self._own is None or model is not self._own[0]:
            taken = model.modalities | ({"image"} if config.vision else frozenset())
            self._own = model, structs.replace(model, modalities=taken, image_side=config.image_side)
        return self._own[1]

    def called(self, name: str | None) -> str:
        """What the engine is asked for when a client asks for `name`: one it found, an adapter, or its own model."""
        return name if name is not None and (self.discovers or name in self.config.adapters) else self.name

    @property
    def state(self) -> State:
        return self.presence.state

    @property
    def ready(self) -> bool:
        return self.state.name == "ready"

    @property
    def answers(self) -> bool:
        """Whether a request would be answered, if need be after the engine was brought back."""
        return self.ready or (self.presence.aim != "ready" and not self.withdrawn)

    @property
    def withdrawn(self) -> bool:
        """Whether an operator has unloaded it."""
        return self.presence.aim == "unloaded" and not self.on_demand

    @property
    def standing(self) -> Standing:
        """How it stands in all processes that serve it together: what clients are told."""
        return self.company.together(self._standing_here())

    def _standing_here(self) -> Standing:
        return Standing(self.state, self.answers, self.withdrawn)

    def changed(self) -> None:
        """The engine's state is another: log and count deaths and restarts, then tell.

        What lies behind a `resilient` backend is no engine of ours: it goes and comes back, and nothing is restarted.
        """
        state = self.backend.state
        if self.presence.there and not self.well:
            self.circuit.succeeded()  # nor does a new engine answer for the one before
        self.well = self.presence.there
        if state.name == "restarting" and not self._restarting:
            self._restarting = True
            log.warning("model %s %s: %s", self.name, "cannot answer" if self.resilient else "restarts", state.note)
        elif state.name == "ready" and self._restarting:
            self._restarting = False
            if not self.resilient:
                self.counted.restarts.inc()
            self.circuit.succeeded()  # its failures were those of the engine before
            log.info("model %s is ready again", self.name)
        elif state.name == "failed" and self._restarting:
            self._restarting = False
            log.error("model %s failed: %s", self.name, state.note)
        self.company.tell(self._standing_here())
        self._tell()

    def refresh(self) -> None:
        """Let the engine look again at what its settings name."""
        refresh = getattr(self.backend, "refresh", None)
        if refresh is not None:
            refresh()

    def start(self, before: Iterable[asyncio.Task[None]] = ()) -> None:
        """Begin to load, unless it shall wait for a request. From here on the gauges of this name show this engine.

        `before` are tasks whose end the load has to wait for: engines that hold the memory it needs.
        """
        self.counted.watch(self)
        self.presence.want("unloaded" if self.on_demand else "ready", before)
        if self.config.idle_after is not None:
            self._idling = asyncio.create_task(self._rest_when_idle(self.config.idle_after))

    def order(self, order: Order) -> None:
        """Begin what an operator asks for. Raises WrongState."""
        state, aim = self.state.name, self.presence.aim
        if order == "wake" and (aim == "unloaded" or state == "failed"):
            raise WrongState(f"The model {self.name} is {state}: it has to be loaded, not woken.")
        if order == "sleep" and aim != "sleeping" and state != "ready":
            raise WrongState(f"The model {self.name} is {state}: only one that is ready can go to sleep.")
        if order in ("unload", "sleep"):
            self.on_demand = order == "sleep" or self.config.load == "request"
        self.presence.want(AIMS[order])

    async def settle(self, order: Order, timeout: float) -> bool:
        """Wait until an order is carried out; False when it still is not after `timeout` seconds.

        Raises Unavailable when the model could not be loaded, WrongState when another order came in between.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.presence.settled.wait()
        except TimeoutError:
            return False
        if self.presence.problem is not None:
            raise Unavailable(
                f"The model {self.name} could not be loaded: {self.presence.problem}", retry_after=LONG_WAIT
            )
        if self.presence.place != AIMS[order]:
            raise WrongState(f"The model {self.name} is {self.state.name}: another order came in between.")
        return True

    @property
    def has_upstreams(self) -> bool:
        """Whether there are servers behind it that operators can see."""
        return hasattr(self.backend, "upstreams")

    def upstreams(self) -> Sequence[UpstreamState]:
        """The servers behind it. Raises NotFound for a model whose engine is here."""
        ask: Callable[[], Sequence[UpstreamState]] | None = getattr(self.backend, "upstreams", None)
        if ask is None:
            raise NotFound(f"The model {self.name} has no upstreams.")
        return ask()

    def steer(self, steer: Steer, upstream: str) -> None:
        """Give one of them no new work, or give it work again. Raises NotFound."""
        order: Callable[[str], None] | None = getattr(self.backend, steer, None)
        if order is None:
            raise NotFound(f"The model {self.name} has no upstreams.")
        try:
            order(upstream)
        except UnknownUpstream as error:
            raise NotFound(f"The model {self.name}: {error}") from error

    async def _rest_when_idle(self, after: float) -> None:
        """Put the engine to rest whenever there was no request for `after` seconds."""
        while True:
            quiet = time.monotonic() - max(self.admission.released, self.presence.since)
            rest = after - quiet
            if not self.ready or self.admission.busy:
                rest = after  # it cannot be idle sooner
            elif rest <= 0:
                log.info("model %s had no request for %g s", self.name, after)
                self.on_demand = True
                self.presence.want("sleeping" if self.config.idle == "sleep" else "unloaded")
                rest = after
            await asyncio.sleep(rest)

    def take(self) -> float | None:
        """Take a slot if the engine is loaded and well and a slot is free, so that nothing need be waited for.

        Returns the moment (monotonic seconds) it was had, for `Admission.release`.
        """
        if self.well and not self.circuit.failures and self.admission.take():
            self.counted.queue_seconds.observe(0.0)
            return time.monotonic()
        return None

    async def acquire(self, tokens: int, timeout: float) -> float:
        """Wait for the engine and for a slot, `timeout` seconds in all. Raises Unavailable, and as Admission does."""
        if not self.well:
            began = time.monotonic()
            await self._until_well(timeout)
            timeout = max(0.0, timeout - (time.monotonic() - began))
        if self.ready:  # an engine that is not says itself why
            self.circuit.check()
        try:
            return await self.admission.acquire(tokens, timeout)
        except BaseException:
            self.circuit.abandoned()
            raise

    async def _until_well(self, timeout: float) -> None:
        self.admission.loading += 1
        try:
            self._check()
            if self.admission.too_many_load:
                raise Unavailable(self._standing(), retry_after=SHORT_WAIT)
            async with asyncio.timeout(timeout):
                while not self.well:
                    if self.presence.settled.is_set():
                        self.presence.want("ready")
                    await self.presence.settled.wait()
                    self._check()
        except TimeoutError:
            raise QueueTimeout(self._standing(), retry_after=SHORT_WAIT) from None
        finally:
            self.admission.loading -= 1

    def _check(self) -> None:
        """Raises Unavailable, or as the closed queue does, when there is nothing that could be waited for."""
        if self.admission.closed is not None:
            raise self.admission.closed()
        if self.presence.problem is not None or self.presence.closed:
            raise Unavailable(f"The model {self.name} could not be loaded.", retry_after=LONG_WAIT)
        if self.withdrawn:
            raise Unavailable(f"The model {self.name} was unloaded by an operator.", retry_after=LONG_WAIT)

    def _standing(self) -> str:
        state = self.state.name
        return f"The model {self.name} is {'still ' if state == 'loading' else ''}{state}."

    def turn_away(self, error: Callable[[], EdgeError]) -> None:
        """Refuse whoever waits, for a slot or for the engine, and whoever comes later."""
        self.admission.close(error)
        self.presence.settled.set()

    async def _finished(self) -> None:
        await self.admission.empty(self._patience())

    async def close(self) -> None:
        """Stop loading or serving and release the engine."""
        if self._idling is not None:
            self._idling.cancel()
            await asyncio.wait([self._idling])
        await self.presence.close()

    async def finish(self) -> None:
        """Let what runs, and what waits for the load, come to its end in bounded time, then close."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    if self.admission.loading:
                        await self.presence.settled.wait()
            await self._finished()
        finally:
            await self.close()


class Counted:
    """The metrics of one model, with their labels resolved once."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.name = name
        self.metrics = metrics
        self.prompt_tokens = metrics.prompt_tokens.labels(name)
        self.completion_tokens = metrics.completion_tokens.labels(name)
        self.queue_seconds = metrics.queue_seconds.labels(name)
        self.first_event_seconds = metrics.first_event_seconds.labels(name)
        self.first_audio_seconds = metrics.first_audio_seconds.labels(name)
        self.real_time_factor = metrics.real_time_factor.labels(name)
        self.audio_seconds = metrics.audio_seconds.labels(name)
        self.retries = metrics.retries.labels(name)
        self.restarts = metrics.engine_restarts.labels(name)
        self.succeeded = metrics.requests.labels(name, "ok")

    def watch(self, served: Served) -> None:
        """Gauges read what they show when they are asked, and cost nothing in between."""
        self.metrics.running.labels(self.name).set_function(lambda: served.admission.running)
        self.metrics.waiting.labels(self.name).set_function(lambda: served.admission.waiting)
        self.metrics.model_ready.labels(self.name).set_function(lambda: is_in(served, "ready"))
        self.metrics.engines.sources.pop(self.name, None)
        figures = getattr(served.backend, "figures", None)
        if figures is not None:
            self.metrics.engines.sources[self.name] = figures
        for state in get_args(StateName):
            self.metrics.model_state.labels(self.name, state).set_function(partial(is_in, served, state))

    def forget(self) -> None:
        """The model is gone for good, and with it all that was told of it."""
        self.metrics.forget(self.name)

    def used(self, usage: Usage) -> None:
        self.prompt_tokens.inc(usage.prompt)
        self.completion_tokens.inc(usage.completion)

    def timed_out(self, timer: str) -> None:
        self.metrics.timeouts.labels(timer).inc()

    def ended(self, outcome: str) -> None:
        if outcome == "ok":
            self.succeeded.inc()
        else:
            self.metrics.requests.labels(self.name, outcome).inc()


def is_in(served: Served, state: str) -> float:
    """1 while the model is in that state, as a gauge shows it."""
    return float(served.standing.state.name == state)
