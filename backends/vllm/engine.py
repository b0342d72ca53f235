"""The life of one vLLM engine: build in a thread, watch, build again after a death, sleep, end.

The engine computes in processes of its own; what lives here is its front end, which must be used in the event loop.
Engines are built one after the other, as each measures how much memory of the card is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from backends import State
from backends.errors import BackendError, LoadFailed, Unavailable
from backends.life import ended
from backends.vllm import compat, progress
from backends.vllm.arguments import GUIDANCE
from backends.vllm.families import Signs, chosen
from backends.vllm.figures import Figures
from backends.vllm.options import Options
from backends.vllm.processes import Processes

log = logging.getLogger(__name__)

TRIES = 5
LONGEST_BACKOFF = 60.0
HEALTHY_AFTER = 60.0
LOOK_EVERY = 0.5
# How long an engine that is being built may take to end, and how often it is told to.
CALL_OFF = 10.0
CALL_AGAIN = 0.2
WAITING = "waiting until the engine before it has started"
STARTING = "starting the engine"
# Every grammar that reaches the engine was tried before by the library behind this.
OUTPUTS = {"backend": GUIDANCE}

_building = threading.Lock()


class Engine:
    """One engine and its restarts. `client` is there while it is ready, `tools` and `reasoning` name its parsers.

    `changed` is called after each change of `state`, `prepare` with each new engine in `built`, before it is ready,
    `died` when a running engine ended unasked. What engines tell of themselves gathers in `figures`.
    """

    def __init__(
        self,
        model: str,
        fields: Mapping[str, Any],
        options: Options,
        changed: Callable[[], None],
        prepare: Callable[[], Awaitable[None]],
        died: Callable[[], None],
        figures: Figures,
    ) -> None:
        self._model = model
        self._fields = fields
        self._options = options
        self._changed = changed
        self._prepare = prepare
        self._died = died
        self._figures = figures
        self.built: Any = None
        self._processes = Processes()
        self._watch: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._retry_at = 0.0
        self.library: compat.Library = None
        self.template: str | None = None
        self.tools: str | None = None
        self.reasoning: str | None = None
        self.state = State("stopped")

    @property
    def client(self) -> Any:
        """vLLM's AsyncLLM. Raises Unavailable while the engine is not ready."""
        if self.built is None or self.state.name != "ready" or self.built.errored:
            wait = self._retry_at - asyncio.get_running_loop().time()
            raise Unavailable(retry_after=max(1.0, wait))
        return self.built

    async def start(self) -> None:
        """Load and return when the engine answers. Raises LoadFailed, Unfit or OSError."""
        self._become(State("loading", "importing vLLM"))
        try:
            self.library = await _in_thread(compat.load)
            _freeze_import()
            self._become(State("loading", WAITING))
            await self._build()
        except BaseException as error:
            await self._end()
            self._become(State("failed" if isinstance(error, Exception) else "stopped"))
            raise
        self._become(State("ready"))
        self._watch = asyncio.create_task(self._keep_alive())

    async def close(self) -> None:
        """End the engine. Safe to call twice."""
        await self._look_away()
        await self._end()
        self._become(State("stopped"))

    async def sleep(self) -> bool:
        """Move the weights out of the card and drop its cache; False if the engine cannot: it is to be closed then."""
        if not self._fields.get("enable_sleep_mode"):
            return False
        await self._look_away()
        try:
            await self.client.sleep(level=1)
        except Exception as error:  # noqa: BLE001 - vLLM raises whatever went wrong
            log.warning("engine of %s cannot sleep: %s", self._model, _reason(error))
            return False
        self._become(State("sleeping"))
        return True

    async def wake(self) -> None:
        """Come back from sleep, or start anew after a death in it. Raises LoadFailed."""
        self._become(State("loading", "waking"))
        try:
            if self.built is None or self.built.errored:
                await self._end()
                await self._build()
            else:
                await self.built.wake_up()
        except Exception as error:
            await self._end()
            self._become(State("failed"))
            raise error if isinstance(error, BackendError) else LoadFailed(_reason(error)) from error
        self._become(State("ready"))
        self._watch = asyncio.create_task(self._keep_alive())

    async def _look_away(self) -> None:
        if self._watch is not None:
            await ended(self._watch)
            self._watch = None

    def _become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    async def _build(self) -> None:
        """Raises LoadFailed. When this is cancelled, the processes of the engine that is being built are ended."""
        processes = self._processes = Processes()
        blobs = None if _is_folder(self._model) else progress.blobs(self._model, self._fields)
        async with progress.followed(blobs, self._note) as steps:
            begun = partial(asyncio.get_running_loop().call_soon_threadsafe, self._note, STARTING)
            built = asyncio.ensure_future(_in_thread(lambda: self._construct(processes, steps, begun)))
            try:
                self.built = await asyncio.shield(built)
            except asyncio.CancelledError:
                await _call_off(built, processes)
                raise
        self._note("warming up")
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Try the engine out. Raises LoadFailed when it ends over it: whoever waits for its outputs may never hear."""
        preparing = asyncio.ensure_future(self._prepare())
        try:
            while not preparing.done():
                await asyncio.wait([preparing], timeout=LOOK_EVERY)
                if self.built.errored and not preparing.done():
                    raise LoadFailed("The engine ended while it warmed up.")
            preparing.result()
        except BackendError:
            raise
        except Exception as error:
            raise LoadFailed(f"The engine did not warm up: {_reason(error)}") from error
        finally:
            preparing.cancel()
            await asyncio.wait([preparing])

    def _note(self, note: str) -> None:
        if self.state.name in ("loading", "restarting"):  # not called off since
            self._become(structs.replace(self.state, note=note or STARTING))

    def _construct(self, processes: Processes, steps: Path, begun: Callable[[], object]) -> Any:
        """Blocks until the engine is ready. vLLM raises whatever went wrong, of any class."""
        fields = {
            **self._fields,
            "structured_outputs_config": {**OUTPUTS, **self._fields.get("structured_outputs_config", {})},
        }
        with _building:
            begun()
            processes.begin()
            try:
                arguments = self.library.AsyncEngineArgs(model=_place(self._model), **fields)
                config = arguments.create_engine_config()
                self.tools, self.reasoning = chosen(self.library, self._signs(config.model_config), self._options)
                if self.reasoning is not None:  # vLLM learns from it how thinking begins and ends
                    fields |= {"reasoning_parser": self.reasoning}
                    arguments = self.library.AsyncEngineArgs(model=_place(self._model), **fields)
                    config = arguments.create_engine_config()
                if processes.abandoned:
                    raise LoadFailed("The load was called off.")
                with processes.noted(), progress.told_by_processes(steps), compat.environment_of(config):
                    client = self._client(config, arguments.disable_log_stats)
                processes.complete()
                return client
            except BackendError:
                raise
            except Exception as error:
                processes.kill()
                if not processes.abandoned:
                    log.warning("engine of %s did not start", self._model, exc_info=error)
                raise LoadFailed(f"The engine could not load the model: {_reason(error)}") from error

    def _signs(self, config: Any) -> Signs:
        """Of the model's family. Blocks: the tokenizer is read, which the engine does not read again."""
        tokenizer = self.library.tokenizer(config)
        if tokenizer is None:
            return Signs(config.hf_config.model_type, "", ())
        return Signs.of(config.hf_config, self.template, tokenizer)

    def _client(self, config: Any, quiet: bool) -> Any:
        loggers = [] if quiet else [compat.stat_logger(self.library, self._figures)]
        return self.library.AsyncLLM.from_vllm_config(config, disable_log_stats=quiet, stat_loggers=loggers)

    async def _keep_alive(self) -> None:
        """Watch the engine; when it dies build it again, TRIES times at most unless it was well for a while."""
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began = loop.time()
            while not self.built.errored:  # noqa: ASYNC110 - vLLM sets a flag and tells nobody
                await asyncio.sleep(LOOK_EVERY)
            tries = 0 if loop.time() - began > HEALTHY_AFTER else tries
            self._become(State("restarting", "the engine ended unexpectedly"))
            self._died()
            tries = await self._revive(tries)
            if not tries:
                return

    async def _revive(self, tries: int) -> int:
        """Build the engine again; how many tries that has taken now, 0 when it was given up."""
        loop = asyncio.get_running_loop()
        while tries < TRIES:
            await self._end()
            backoff = min(LONGEST_BACKOFF, 2.0**tries)
            self._retry_at = loop.time() + backoff
            tries += 1
            await asyncio.sleep(backoff)
            self._note(WAITING)
            try:
                await self._build()
            except (BackendError, OSError) as error:
                log.warning("engine did not start again: %s", error)
            else:
                self._become(State("ready"))
                return tries
        await self._end()
        self._become(State("failed", f"the engine died again and again: it was started {TRIES} times"))
        return 0

    async def _end(self) -> None:
        """End the engine's processes, and let go of what its front end held; goes on when this is cancelled."""
        if self.built is not None:
            self._ending = asyncio.create_task(self._end_processes(self.built))
            self.built = None
        ending = self._ending
        if ending is not None:
            try:
                await asyncio.shield(ending)
            finally:
                if ending.done():
                    self._ending = None
            compat.let_go()
            gc.collect()
            await _in_thread(compat.give_back)

    async def _end_processes(self, client: Any) -> None:
        if not client.errored:  # a dead one still has to tell whoever waits for its outputs
            compat.stop_listening(client)
        processes = self._processes
        await _in_thread(lambda: processes.end(lambda seconds: client.shutdown(timeout=seconds)))
        self._figures.ended()


async def _call_off(built: asyncio.Future[Any], processes: Processes) -> None:
    """End an engine that is being built; one that still waits for its turn, or cannot be ended, when it is there."""
    processes.abandoned = True
    built.add_done_callback(_end_abandoned)
    end = asyncio.get_running_loop().time() + CALL_OFF
    while processes.begun and not built.done() and asyncio.get_running_loop().time() < end:
        await _in_thread(processes.kill)
        await asyncio.wait([built], timeout=CALL_AGAIN)


def _end_abandoned(built: asyncio.Future[Any]) -> None:
    if not built.cancelled() and built.exception() is None:
        built.result().shutdown(timeout=0)


def _reason(error: Exception) -> str:
    """What vLLM says, on one line: the first, or each wrong field of its configuration."""
    details = getattr(error, "errors", None)
    if callable(details):
        found = details()
        lines = ["; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in found)]
    else:
        lines = str(error).strip().splitlines()
    return " ".join(lines[0].split())[:500] if lines else f"{type(error).__name__} without a reason"


def _is_folder(model: str) -> bool:
    """Whether this names a folder, not a model of Hugging Face's."""
    return model.startswith(("/", ".", "~"))


def _place(model: str) -> str:
    """The folder of a model, or the name under which vLLM looks for it. Raises LoadFailed for a folder that is not."""
    if not _is_folder(model):
        return model
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise LoadFailed(f"There is no model folder {folder}.")
    return str(folder)


@functools.cache
def _freeze_import() -> None:
    """What vLLM's import left need not be looked at again. Once: an engine must not be frozen, as it will end."""
    gc.collect()
    gc.freeze()


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run blocking work in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # noqa: BLE001 - carried to whoever awaits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="vllm", daemon=True).start()
    return await done
