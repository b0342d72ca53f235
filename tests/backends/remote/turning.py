"""A clock that the test turns, an event loop that needs no time, and pools on them."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from backends.remote.options import Options
from backends.remote.pool import Pool
from backends.remote.probing import Probe
from backends.remote.settings import read_settings

Result = TypeVar("Result")


class Clock:
    """Seconds; begins far from 0, as real ones do."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def options(*upstreams: dict[str, Any], **table: Any) -> Options:
    """Options for these upstreams; those without a url get one from their name."""
    named = [{"url": f"http://{each.get('name', number)}:8000", **each} for number, each in enumerate(upstreams)]
    return read_settings("m", table, named)


def pool(clock: Clock, *names: str, probe: Probe | None = None, **table: Any) -> Pool:
    return Pool(options(*({"name": name} for name in names), **table), probe, clock)


class Instant(selectors.DefaultSelector):
    """Instead of waiting it puts the clock forward."""

    passed = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for ever"
            self.passed += timeout
        return ready


class Loop(asyncio.SelectorEventLoop):
    """Sleeping takes no time in it, and is exact."""

    def __init__(self) -> None:
        self._instant = Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.passed


def run(story: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(story)
