"""Progress bars of loading models, for a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from backends import State
from openai_proxy.cli.progress import SETTLED, words

STYLES = {"ready": "green", "failed": "red"}


class Bars:
    """One bar a model; what is not measurable pulses."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.tasks: dict[str, TaskID] = {}
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}"),
            console=Console(stderr=True, highlight=False),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, states: dict[str, State]) -> None:
        for name, state in states.items():
            if name not in self.tasks:
                self.tasks[name] = self.progress.add_task(escape(name), total=None, words="")
            elif self.progress.tasks[self.tasks[name]].finished:
                continue
            self.update(self.tasks[name], state)

    def update(self, task: TaskID, state: State) -> None:
        done = state.name in SETTLED
        style = STYLES.get(state.name, "dim")
        text = escape(words(state, time.monotonic() - self.began))
        self.progress.update(
            task,
            total=1.0 if done or state.fraction is not None else None,
            completed=1.0 if done else state.fraction or 0.0,
            words=f"[{style}]{text}[/]",
        )
