"""Where an engine's life stands, kept in one place and told at each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backends import State


class Life:
    """The state of one engine, stopped at first; `changed` is called after each change of it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.state = State("stopped")
        self._changed = changed

    def become(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()

    @contextmanager
    def trying(self, note: str) -> Iterator[None]:
        """Around a load: failed with the reason if it raises, stopped when it is called off. Who loads says ready."""
        self.become(State("loading", note))
        try:
            yield
        except BaseException as error:
            self.become(State("failed", str(error)) if isinstance(error, Exception) else State("stopped"))
            raise
