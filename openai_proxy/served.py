"""One model as the router sees it: its engine, the slots in front of it and its circuit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from backends import Backend, Model, resolve
from backends.errors import BackendError, Unavailable
from backends.events import Usage
from openai_proxy.admission import Admission
from openai_proxy.circuit import Circuit
from openai_proxy.config import ModelConfig
from openai_proxy.errors import QueueTimeout
from openai_proxy.metrics import Metrics

log = logging.getLogger("openai_proxy.models")


class Served:
    """A configured model. Raises ValueError when its backend does not exist or refuses the options."""

    def __init__(self, name: str, config: ModelConfig, metrics: Metrics, changed: Callable[[], None]) -> None:
        self.name = name
        self.config = config
        self.created = int(time.time())
        self.problem: str | None = None
        self.well = False
        self._tell = changed
        self._restarting = False
        self.backend: Backend = resolve(config.backend)(config.setup(name, self.changed))
        self.admission = Admission(config.slots or self.backend.slots, config.queue, config.queue_tokens)
        self.circuit = Circuit()
        self.counted = Counted(name, metrics)
        self._loaded = asyncio.Event()
        self._loading: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        return self.backend.model

    def called(self, name: str | None) -> str:
        """What the engine is asked for when a client asks for `name`: one of its adapters, or the model itself."""
        return name if name is not None and name in self.config.adapters else self.name

    @property
    def ready(self) -> bool:
        return self.backend.state.name == "ready"

    def changed(self) -> None:
        """The engine's state is another: log and count deaths and restarts, then tell."""
        state = self.backend.state
        if state.name == "restarting" and not self._restarting:
            self._restarting = True
            log.warning("model %s restarts: %s", self.name, state.note)
        elif state.name == "ready" and self._restarting:
            self._restarting = False
            self.counted.restarts.inc()
            self.circuit.succeeded()  # its failures were those of the engine before
            log.info("model %s is ready again", self.name)
        elif state.name == "failed" and self._restarting:
            self._restarting = False
            log.error("model %s failed: %s", self.name, state.note)
        self._tell()

    def start(self) -> None:
        """Begin to load, in a task of its own. From here on the gauges of this name show this engine."""
        self.counted.watch(self)
        self._loading = asyncio.create_task(self._load(), name=f"load {self.name}")

    async def _load(self) -> None:
        began = time.monotonic()
        try:
            await self.backend.start()
        except (BackendError, OSError, ValueError) as error:
            self.problem = str(error)
            log.error("model %s cannot be loaded: %s", self.name, error)
        else:
            self.well = True
            log.info("model %s is ready after %.1f s", self.name, time.monotonic() - began)
        finally:
            self._loaded.set()
            self.changed()

    def take(self) -> float | None:
        """Take a slot if the engine is loaded and well and a slot is free, so that nothing need be waited for.

        Returns the moment (monotonic seconds) it was had, for `Admission.release`.
        """
        if self.well and not self.circuit.failures and self.admission.take():
            self.counted.queue_seconds.observe(0.0)
            return time.monotonic()
        return None

    async def acquire(self, tokens: int, timeout: float) -> float:
        """Wait for the engine to be loaded and for a slot, `timeout` seconds in all. Raises as Admission does."""
        if not self._loaded.is_set():
            began = time.monotonic()
            await self._until_loaded(timeout)
            timeout = max(0.0, timeout - (time.monotonic() - began))
        if self.problem is not None:
            raise Unavailable(f"The model {self.name} could not be loaded.", retry_after=120)
        self.circuit.check()
        try:
            return await self.admission.acquire(tokens, timeout)
        except BaseException:
            self.circuit.abandoned()
            raise

    async def _until_loaded(self, timeout: float) -> None:
        self.admission.loading += 1
        try:
            if self.admission.loading > self.admission.queue:
                raise Unavailable(f"The model {self.name} is still loading.", retry_after=2)
            async with asyncio.timeout(timeout):
                await self._loaded.wait()
        except TimeoutError:
            raise QueueTimeout(f"The model {self.name} is still loading.", retry_after=2) from None
        finally:
            self.admission.loading -= 1

    async def close(self) -> None:
        """Stop loading or serving and release the engine."""
        if self._loading is not None and not self._loading.done():
            self._loading.cancel()
            await asyncio.wait([self._loading])
        await self.backend.close()

    async def finish(self, timeout: float) -> None:
        """Let what runs come to its end, at most `timeout` seconds, then close."""
        try:
            await self.admission.empty(timeout)
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
        self.retries = metrics.retries.labels(name)
        self.restarts = metrics.engine_restarts.labels(name)
        self.succeeded = metrics.requests.labels(name, "ok")

    def watch(self, served: Served) -> None:
        """Gauges read what they show when they are asked, and cost nothing in between."""
        self.metrics.running.labels(self.name).set_function(lambda: served.admission.running)
        self.metrics.waiting.labels(self.name).set_function(lambda: served.admission.waiting)
        self.metrics.model_ready.labels(self.name).set_function(lambda: float(served.ready))
        self.metrics.engines.sources.pop(self.name, None)
        figures = getattr(served.backend, "figures", None)
        if figures is not None:
            self.metrics.engines.sources[self.name] = figures

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
