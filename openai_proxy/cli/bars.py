"""Progress bars of loading models, for a terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from backends import State
from openai_proxy.cli.progress import SETTLED, words
from openai_proxy.logs import LineHandler, Writer

STYLES = {"ready": "green", "failed": "red"}


class Bars:
    """One bar a model; what is not measurable pulses. Lines of the log appear above them."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.tasks: dict[str, TaskID] = {}
        self.settled: set[str] = set()
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.stack = ExitStack()

    def __enter__(self) -> Bars:
        self.progress.start()
        self.stack.callback(self.progress.stop)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LineHandler):
                self.stack.callback(setattr, handler, "writer", handler.writer)
                handler.writer = Above(self.console)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def show(self, states: dict[str, State]) -> None:
        for name, state in states.items():
            if name not in self.tasks:
                self.tasks[name] = self.progress.add_task(escape(name), total=None, words="")
            if name not in self.settled:
                self.update(name, state)

    def update(self, name: str, state: State) -> None:
        if done := state.name in SETTLED:
            self.settled.add(name)
        text = escape(words(state, time.monotonic() - self.began))
        self.progress.update(
            self.tasks[name],
            total=1.0 if done or state.fraction is not None else None,
            completed=1.0 if done else state.fraction or 0.0,
            words=f"[{STYLES.get(state.name, 'dim')}]{text}[/]",
        )


class Above(Writer):
    """Prints lines of the log above the bars, which would draw over them otherwise."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def write(self, line: bytes | Callable[[], bytes]) -> None:
        line = line if isinstance(line, bytes) else line()
        self.console.print(Text(line.decode(errors="replace"), end=""), soft_wrap=True)

    def close(self, timeout: float = 1.0) -> None:
        return
