"""Model name -> engine. Here, once for every dialect: admission, deadlines, one retry, the circuit and counting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple, TypeAlias

from backends import Setup, State, apart, check_together
from backends.errors import BackendError, Busy, ContextExceeded, Overloaded, Unavailable
from backends.events import Answering, Delta, Event, Relayed, Usage
from backends.looking.looker import Looker
from backends.requests import ChatRequest, CompletionRequest, Request, SpeechRequest
from openai_proxy.company import Company, FindCompany
from openai_proxy.config import Config, ModelConfig
from openai_proxy.cut import within
from openai_proxy.errors import Draining, EdgeError, ModelNotFound, QueueFull, QueueTimeout
from openai_proxy.metrics import Metrics
from openai_proxy.names import Names
from openai_proxy.pace import paced
from openai_proxy.served import Served
from openai_proxy.ticker import Ticker
from openai_proxy.turn import Turn, estimate, outcome

Translate: TypeAlias = Callable[[Served], Awaitable[Request]]

# By these a model says that it did not begin to work, and another one may.
NOT_BEGUN = (Unavailable, Overloaded, Busy, ContextExceeded, QueueFull, QueueTimeout)

log = logging.getLogger("openai_proxy.router")


class Patience(NamedTuple):
    """How many seconds somebody waits for a slot, told by `begun` when there is one; None: as the settings say."""

    seconds: float | None = None
    begun: Callable[[], None] = lambda: None


# Who waits as long as all do, and does not want to be told.
USUAL = Patience()


class Router:
    """All served models. `run` is the one way to an engine."""

    def __init__(self, config: Config, metrics: Metrics, ticker: Ticker, company: FindCompany = Company) -> None:
        self.metrics = metrics
        self.company = company
        self.ticker = ticker
        self.timeouts = config.timeouts
        self.vision = config.vision
        self.looker = Looker(config.vision.home, config.vision.wheels)
        self.models = {name: self._served(name, model) for name, model in config.models.items()}
        self.names = Names(self.models)
        self.default_model = self._default(config)
        self._ending: dict[asyncio.Task[None], Served] = {}
        self._watchers: set[asyncio.Event] = set()
        self._hushed = False

    def _served(self, name: str, model: ModelConfig) -> Served:
        return Served(name, model, self.metrics, self.stir, lambda: self.timeouts.request, self.company(name))

    def start(self) -> None:
        """Begin to load every model, and to fetch what reads pictures for them; returns at once."""
        self._look()
        for served in self.models.values():
            served.start()

    async def close(self) -> None:
        """Close every engine, those of removed models too."""
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*(served.close() for served in self.models.values()))
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self.looker.close()

    def find(self, name: str | None) -> Served:
        """The model of that name or alias, or the default for None. Raises ModelNotFound."""
        if name is None:
            name = self.default_model
        served = None if name is None else self.names.find(name)
        if served is None:
            raise ModelNotFound(f"The model {name!r:.100} does not exist.", param="model")
        return served

    def steered(self, name: str) -> Served:
        """The model that an operator calls so: also one whose name stands for many. Raises ModelNotFound."""
        return self.models.get(name) or self.find(name)

    def states(self) -> dict[str, State]:
        """The state of every model, by name, as clients are told it."""
        return {name: served.standing.state for name, served in self.models.items()}

    async def changes(self) -> AsyncGenerator[dict[str, State], None]:
        """The states now, and again after every change, until `hush`. Changes that come faster are merged."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            while not self._hushed:
                event.clear()
                yield self.states()
                await event.wait()
        finally:
            self._watchers.discard(event)

    def _default(self, config: Config) -> str | None:
        """The model for requests that name none: one that stands for many could not answer them."""
        name = config.default_model
        return None if name in self.models and self.models[name].discovers else name

    def stir(self) -> None:
        """Have the states looked at again: one may be another."""
        self.names.tell_hidden()
        for event in self._watchers:
            event.set()

    def hush(self) -> None:
        """Tell nobody of changes any more."""
        self._hushed = True
        self.stir()

    def turn_away(self) -> None:
        """Refuse all that wait for a slot, and tell nobody of changes any more: the server drains."""
        self.hush()
        for served in self.models.values():
            served.turn_away(Draining)

    def reload(self, config: Config) -> None:
        """Take a new configuration: unchanged models keep their engine, removed ones finish what runs, then close.

        New engines load at once if there is room for them beside the removed ones, else when those have ended. Raises
        ValueError, and changes nothing, when a new model's backend refuses its options.
        """
        kept = {name: served for name, served in self.models.items() if config.models.get(name) == served.config}
        fresh = {name: self._served(name, model) for name, model in config.models.items() if name not in kept}
        for name in fresh.keys() & self.models.keys():
            fresh[name].heir_of(self.models[name])
        removed = [served for name, served in self.models.items() if name not in kept]
        for served in kept.values():
            served.refresh()
        self.models = {name: (kept | fresh)[name] for name in config.models}
        self.names = Names(self.models)
        self.default_model = self._default(config)
        self.timeouts = config.timeouts
        self.vision = config.vision
        self._look()
        for served in removed:
            task = asyncio.create_task(self._end(served), name=f"end {served.name}")
            self._ending[task] = served
            task.add_done_callback(self._ending.pop)
        room = not fresh or self._fit()
        for served in fresh.values():
            served.start(before=() if room else self._ending)
        self.stir()

    def _look(self) -> None:
        apart.keep(self.vision.kept_bytes)
        if any(served.config.vision is not None for served in self.models.values()):
            self.looker.fetch_soon()

    def _fit(self) -> bool:
        """Whether the backends find room for the engines of now beside those that are still ending."""
        setups: dict[str, list[Setup]] = {}
        for served in (*self.models.values(), *self._ending.values()):
            setups.setdefault(served.config.backend, []).append(served.config.setup(served.name))
        try:
            check_together(setups)
        except ValueError:
            return False
        return True

    async def _end(self, served: Served) -> None:
        try:
            await served.finish()
        finally:
            served.company.end()
        if served.name not in self.models:
            served.counted.forget()

    def run(
        self, request: Request, translate: Translate | None = None, patience: Patience = USUAL
    ) -> AsyncGenerator[Event, None]:
        """Answer a request with its engine's events. Close it early to stop the engine's work.

        Where the model has others to fall back to, `translate` makes the request for them. Raises BackendError,
        ModelNotFound, QueueFull, QueueTimeout or Draining.
        """
        served = self.find(request.model)
        if translate is not None and served.config.fallback:
            return self._run_any(served, request, translate)
        return self._run(served, request, patience)

    async def _run_any(self, served: Served, request: Request, translate: Translate) -> AsyncGenerator[Event, None]:
        """Answer by the first model that begins to. What cannot begin is not begun twice, nor told twice."""
        first: Exception | None = None
        for name in (served.name, *served.config.fallback):
            if first is not None:
                try:
                    request = await translate(self.find(name))
                except (EdgeError, BackendError):
                    continue  # it cannot do what is asked
            events = self._run(self.find(request.model), request)
            begun = False
            try:
                async for event in events:
                    if not begun and first is not None:
                        yield Answering(request.model)
                    begun = True
                    yield event
                return
            except NOT_BEGUN as error:
                if begun:
                    raise
                first = first or error
                log.info("model %s cannot begin: %s", request.model, error)
            finally:
                await events.aclose()
        assert first is not None
        raise first

    async def _run(self, served: Served, request: Request, patience: Patience = USUAL) -> AsyncGenerator[Event, None]:
        slot = served.take() or await self._queue(served, estimate(request), patience.seconds)
        with Turn(served, slot, self.ticker, self.timeouts, request) as turn:
            patience.begun()
            if served.config.vision is not None:
                request = await self.looker.told(request, served.model)
            while True:
                events = _events(served, request)
                try:
                    async for event in events:
                        if not turn.steps:
                            turn.answered()
                        turn.steps += 1
                        if type(event) is Delta:
                            turn.pieces += 1
                        elif type(event) is Relayed:
                            turn.pieces += event.pieces
                        elif type(event) is Usage:
                            turn.used(event)
                        yield event
                        turn.steps += 1
                    return
                except Unavailable as error:
                    await turn.pause(error)
                finally:
                    await events.aclose()

    async def _queue(self, served: Served, tokens: int, wait: float | None) -> float:
        began = time.monotonic()
        try:
            slot = await served.acquire(tokens, self.timeouts.queue if wait is None else wait)
        except BaseException as error:
            if isinstance(error, QueueTimeout):
                served.counted.timed_out("queue")
            served.counted.ended(outcome(error))
            raise
        served.counted.queue_seconds.observe(slot - began)
        return slot


def _events(served: Served, request: Request) -> AsyncGenerator[Event, None]:
    """What the engine says."""
    events = served.backend.run(request)
    if type(request) is SpeechRequest:
        return paced(events, served.counted)
    if isinstance(request, ChatRequest | CompletionRequest) and request.seconds is not None:
        return within(events, request, request.seconds, estimate(request))
    return events
