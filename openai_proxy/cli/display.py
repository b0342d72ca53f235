"""How a streamed answer is shown: as it comes, rendered as Markdown at a terminal, or not at all."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text

from openai_proxy.cli.plain import safe

FENCES = ("```", "~~~")
REFRESH = 12
ROOM = 3  # rows left free below what is still being written


class Display(Protocol):
    """Shows one answer; entered before it begins and left when it ends, however it ends."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, text: str, reasoning: str) -> None: ...


class Silent:
    """Shows nothing: the answer is printed afterwards."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, text: str, reasoning: str) -> None:
        return


class AsItComes:
    """Writes the text at once and nothing else; bytes for a pipe are the model's own, a terminal gets safe ones."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.last = "\n"

    def __enter__(self) -> AsItComes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.last != "\n":
            print(flush=True)

    def show(self, text: str, reasoning: str) -> None:
        if text:
            print(safe(text) if self.terminal else text, end="", flush=True)
            self.last = text[-1]


class LiveMarkdown:
    """Prints each finished block of Markdown for good and redraws only the one that is still growing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.growing = ""
        self.thinking = ""
        self.printed = False
        self.began = time.monotonic()
        self.spinner = Spinner("dots", style="dim")
        self.live = Live(
            console=console, get_renderable=lambda: self, refresh_per_second=REFRESH, transient=True, screen=False
        )

    def __enter__(self) -> LiveMarkdown:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()
        self.end_thinking()
        if self.growing.strip():
            self.print(self.growing)

    def show(self, text: str, reasoning: str) -> None:
        self.thinking += safe(reasoning)
        if not text:
            return
        self.end_thinking()
        done, self.growing = split(self.growing + safe(text))
        if done.strip():
            self.print(done)

    def end_thinking(self) -> None:
        thought, self.thinking = self.thinking.strip(), ""
        if thought:
            self.console.print(Text(thought, style="dim italic"))
            self.printed = True

    def print(self, text: str) -> None:
        if self.printed:
            self.console.print()
        self.console.print(Rows(rendered(self.console, text)))
        self.printed = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The growing end of the answer, as many of its last rows as fit the screen."""
        if not self.growing.strip() and not self.thinking.strip():
            yield self.spinner
            return
        if self.printed:
            yield Text()
        thinking = Text(self.thinking, style="dim italic")
        rows = rendered(console, self.growing) if self.growing.strip() else console.render_lines(thinking, options)
        yield Rows(rows[-max(1, console.height - ROOM) :])


class Rows:
    """Rows that were rendered before."""

    def __init__(self, rows: list[list[Segment]]) -> None:
        self.rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for row in self.rows:
            yield from row
            yield Segment.line()


def rendered(console: Console, text: str) -> list[list[Segment]]:
    """The rows of a Markdown text, without the empty ones that some elements put before and after themselves."""
    rows = console.render_lines(markdown(text), pad=False)
    filled = [number for number, row in enumerate(rows) if any(segment.text.strip() for segment in row)]
    return rows[filled[0] : filled[-1] + 1] if filled else []


def markdown(text: str) -> Markdown:
    """Markdown whose links show where they lead instead of hiding it."""
    return Markdown(text, hyperlinks=False, code_theme="ansi_dark")


def split(text: str) -> tuple[str, str]:
    """Finished blocks, and the rest that may still change: from the last line that begins a block at the margin.

    Such a line follows an empty one, outside of fenced code, and is not indented, which would continue a list.
    """
    fence, after_blank, position, border = "", False, 0, 0
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if after_blank and not fence and stripped and not line[0].isspace():
            border = position
        if fence:
            fence = "" if stripped == fence else fence
        elif stripped.startswith(FENCES):
            fence = stripped[: len(stripped) - len(stripped.lstrip(stripped[0]))]
        after_blank = not stripped
        position += len(line)
    return text[:border], text[border:]
