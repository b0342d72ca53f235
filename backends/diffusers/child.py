"""The engine's process: `python -m backends.diffusers.child`. It draws until its standard input ends.

That is so when the server closes it or dies in any way; the process goes at once then, and with it all its memory.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import warnings
from typing import Any, BinaryIO

from backends.diffusers.drawing import Studio
from backends.diffusers.messages import (
    Done,
    Draw,
    Failed,
    FromEngine,
    Load,
    Loaded,
    Loading,
    Stop,
    hear,
    packed,
)
from backends.diffusers.pipelines import Pipelines, quiet
from backends.diffusers.rehearsal import rehearsed
from backends.diffusers.steps import Stopped
from backends.spawned import Parent, outlast_signals

LONGEST_REASON = 500


class Ears:
    """Hears the server, in a thread of its own: also while something is drawn."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._draws: queue.Queue[Draw] = queue.Queue(1)  # the server says one at a time
        self._stopped = -1

    def hear(self) -> None:
        """Until the server is gone: then so is this process."""
        while (message := hear(self._stream)) is not None:
            match message:
                case Draw():
                    self._draws.put(message)
                case Stop():
                    self._stopped = message.number
        os._exit(0)

    def next(self) -> Draw:
        """Blocks until there is one."""
        return self._draws.get()

    def unwanted(self, number: int) -> bool:
        """Whether that Draw is to be stopped."""
        return number <= self._stopped


def main() -> None:
    parent = Parent()

    def tell(message: FromEngine) -> None:
        parent.send(packed(message))

    load = hear(parent.said)
    if not isinstance(load, Load):
        return
    outlast_signals()
    ears = Ears(parent.said)
    threading.Thread(target=ears.hear, daemon=True).start()
    quiet(load)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        pipelines = Pipelines(load, lambda note: tell(Loading(note)))
        tell(Loading("trying it out"))
        loaded = _loaded(pipelines)
    except Exception as error:  # noqa: BLE001 - libraries raise whatever went wrong
        tell(Loaded(error=_reason(error)))
        return
    tell(loaded)
    studio = Studio(pipelines, loaded.tasks, tell, ears.unwanted)
    while True:
        tell(_ending(pipelines, studio, ears.next()))


def _loaded(pipelines: Pipelines) -> Loaded:
    tasks = dict(rehearsed(pipelines))
    width, height = pipelines.size()
    return Loaded(
        pipeline=type(pipelines.whole).__name__,
        place=f"{pipelines.device}, {pipelines.dtype}",
        tasks=tasks,
        multiple=pipelines.multiple(),
        width=width,
        height=height,
    )


def _ending(pipelines: Pipelines, studio: Studio, draw: Draw) -> FromEngine:
    """Draw, and say how that ended."""
    try:
        studio.draw(draw)
    except Stopped:
        return Failed("stopped")
    except pipelines.torch.OutOfMemoryError as error:
        pipelines.give_back()
        return Failed("memory", _reason(error))
    except Exception as error:  # noqa: BLE001 - libraries raise whatever went wrong
        return Failed("failed", _reason(error))
    return Done()


def _reason(error: Any) -> str:
    """In one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]


if __name__ == "__main__":
    main()
