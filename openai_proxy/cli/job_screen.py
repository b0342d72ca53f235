"""Jobs at a terminal: a table that changes, and one job with a bar below its text."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from openai_proxy.cli.job import HEAD, Job
from openai_proxy.cli.plain import one_line, safe

STYLES = {"queued": "dim", "running": "cyan", "succeeded": "green", "failed": "red", "canceled": "yellow"}
REFRESH = 8
BAR = 24
# What always has its room, and what a terminal has none for that is not wide.
WIDTHS = {"id": 36, "state": 9}
WIDE, LEFT_OUT = 110, frozenset({"kind", "owner", "origin"})
ROOM = 4  # rows left free below what is still being written


class Table:
    """The newest jobs, as many as the screen has rows."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, screen=False)

    def __enter__(self) -> Table:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def show(self, jobs: Sequence[Job]) -> None:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        shown = HEAD if self.console.width >= WIDE else tuple(name for name in HEAD if name not in LEFT_OUT)
        for name in shown:
            grid.add_column(name, no_wrap=True, overflow="ellipsis", min_width=WIDTHS.get(name))
        now = time.time()
        for job in jobs[: max(1, self.console.height - ROOM)]:
            cells = dict(zip(HEAD, job.row(now), strict=True))
            style = STYLES[job.state]
            grid.add_row(*(Text(one_line(cells[name]), style if name == "state" else "") for name in shown))
        self.live.update(grid if jobs else Text("no jobs", "dim"), refresh=True)


class Screen:
    """A job: whole lines of its text are printed for good, the last one and a bar are drawn anew."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.job: Job | None = None
        self.line = ""
        self.live = Live(
            console=self.console, get_renderable=self.drawn, refresh_per_second=REFRESH, transient=True, screen=False
        )

    def __enter__(self) -> Screen:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()
        if self.line:
            self.print(self.line)
        if self.job is not None:
            self.console.print(self.standing(self.job))

    def stand(self, job: Job) -> None:
        self.job = job

    def say(self, text: str) -> None:
        *whole, self.line = (self.line + safe(text)).split("\n")
        for line in whole:
            self.print(line)

    def again(self) -> None:
        self.print(self.line)
        self.line = ""
        self.console.print(Text("work on the job began anew", "yellow"))

    def print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)

    def drawn(self) -> Group:
        """The line that still grows, its end if it is longer than the screen, and how the job stands."""
        most = self.console.width * max(1, self.console.height - ROOM)
        growing = [Text(self.line[-most:])] if self.line else []
        return Group(*growing, *([] if self.job is None else [self.standing(self.job)]))

    def standing(self, job: Job) -> Grid:
        grid = Grid.grid(padding=(0, 1))
        since = job.started or job.created
        seconds = f"{max(0.0, (job.finished or time.time()) - since):.1f} s"
        done = 1.0 if job.state == "succeeded" else job.progress
        bar = ProgressBar(total=1.0, completed=done, width=BAR, pulse=job.state == "running" and not done)
        how = "" if job.ended and job.failure is None else job.how
        words = (job.model, how, seconds)
        grid.add_row(Text(job.state, STYLES[job.state]), bar, *(Text(one_line(word)) for word in words if word))
        return grid
