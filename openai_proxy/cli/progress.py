"""How far the models are, on standard error, until each is ready or has failed.

At a terminal these are bars; they are drawn by rich, which is imported only there. Elsewhere the log has a line for
each change and for each tenth of a long load.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, aclosing
from typing import Protocol

from backends import State
from openai_proxy.router import Router

log = logging.getLogger("openai_proxy.models")

SETTLED = {"ready", "sleeping", "unloaded", "failed"}
TENTH = 10


class Shown(Protocol):
    def show(self, states: dict[str, State]) -> None: ...


async def follow(router: Router) -> None:
    """Show the states of all models until every one has settled."""
    with painter() as shown:
        async with aclosing(router.changes()) as changes:
            async for states in changes:
                shown.show(states)
                if all(state.name in SETTLED for state in states.values()):
                    return


def painter() -> AbstractContextManager[Shown]:
    """Bars or lines, as suits the place."""
    if not sys.stderr.isatty():
        return Lines()
    from openai_proxy.cli.bars import Bars

    return Bars()


class Lines:
    """A line of the log for each change of a model that loads; how that ended `served` says, with or without us."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[str, int | None]] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, states: dict[str, State]) -> None:
        for name, state in states.items():
            said = (state.note, None if state.fraction is None else int(state.fraction * TENTH))
            if state.name == "loading" and self.said.get(name) != said:
                self.said[name] = said
                log.info("model %s is %s", name, words(state))


def words(state: State, seconds: float = 0.0) -> str:
    """A state in words; `seconds` is how long it took to become ready."""
    if state.name == "ready":
        return f"ready after {seconds:.1f} s"
    percent = "" if state.fraction is None else f" {state.fraction:.0%}"
    return f"{state.name}{percent}" + (f", {state.note}" if state.note else "")
