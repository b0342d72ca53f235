"""The processes of one engine: those that vLLM starts for it, and the workers that these start.

vLLM gives them ten seconds and more to tidy up what the system takes back in a moment anyway, and a worker whose engine
was killed lives on for as long, with its memory. Here they have a second; what they leave in shared memory goes too.
The guardian knows of both, for a server that is killed itself.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from backends.vllm.guard import GUARD
from backends.vllm.guardian import SHARED, born, mapped

GRACE = 1.0
LAST = 5.0
LOOK_EVERY = 0.02
# While an engine is being built.
NOTE_EVERY = 0.5


class Processes:
    """What was started between `begin` and `complete`: engines are built one after the other.

    `abandoned` tells the builder that nobody waits for its engine any more.
    """

    def __init__(self) -> None:
        self.begun = False
        self.abandoned = False
        self._complete = False
        self._lock = threading.Lock()
        self._before: set[BaseProcess] = set()
        self._shared_before: set[Path] = set()
        self._engines: set[BaseProcess] = set()
        self._workers: set[Any] = set()
        self._shared: set[Path] = set()
        self._births: dict[int, int] = {}

    def begin(self) -> None:
        """From here on processes that are started are this engine's."""
        self._before = set(multiprocessing.active_children())
        self._shared_before = set(SHARED.glob("*"))
        self.begun = True

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Meanwhile the guardian is told of processes as they come."""
        stop = threading.Event()
        noting = threading.Thread(target=self._keep_noting, args=(stop,), name="vllm-noting", daemon=True)
        noting.start()
        try:
            yield
        finally:
            stop.set()
            noting.join()

    def complete(self) -> None:
        """All have been started; what comes now belongs to others. Notes what a death would leave behind."""
        with self._lock:
            self._look()
            self._note()
            self._complete = True
            self._before.clear()

    def kill(self) -> None:
        """End them all at once."""
        processes = importlib.import_module("psutil")
        with self._lock:
            self._look()
            for engine in self._engines:
                engine.kill()
            for worker in self._workers:
                with contextlib.suppress(processes.NoSuchProcess):
                    worker.kill()
            for path in self._shared:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            GUARD.forget(self)

    def end(self, shutdown: Callable[[float], None]) -> None:
        """End them by vLLM's own `shutdown`, and kill what is left then. Blocks."""
        with self._lock:
            self._look()
        try:
            shutdown(GRACE)
        finally:
            self.kill()
            for engine in self._engines:
                engine.join(LAST)
            end = time.monotonic() + LAST
            while not all(map(ended, self._workers)) and time.monotonic() < end:
                time.sleep(LOOK_EVERY)

    def _look(self) -> None:
        processes = importlib.import_module("psutil")
        if not self._complete:
            self._engines |= set(multiprocessing.active_children()) - self._before
        for engine in self._engines:
            with contextlib.suppress(processes.Error):
                self._workers |= set(processes.Process(engine.pid).children(recursive=True))
        for pid in {each.pid for each in (*self._engines, *self._workers)}:
            birth = born(pid)
            if birth is not None and self._births.setdefault(pid, birth) == birth:
                self._shared |= mapped(pid) - self._shared_before

    def _note(self) -> None:
        GUARD.note(self, self._births, self._shared)

    def _keep_noting(self, stop: threading.Event) -> None:
        while not stop.wait(NOTE_EVERY):
            with self._lock:
                self._look()
                self._note()


def ended(worker: Any) -> bool:
    """Whether this psutil.Process has given all back; in a container there may be nobody to bury an orphan."""
    processes = importlib.import_module("psutil")
    try:
        return bool(worker.status() == processes.STATUS_ZOMBIE)
    except processes.NoSuchProcess:
        return True
