"""Under load a stream's tokens of one beat become one event: vLLM merges what a consumer that comes late has missed.

Writing to a socket for each token of each stream is the largest cost of serving. While tokens come faster than one a
beat and stream, and many of them, streams take turns once a beat; otherwise nobody waits for anything. The first token
of a stream never waits, and no token waits longer than a beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

# Tokens of all streams in a beat that cost too little to be worth a wait.
CALM = 32
# How many tokens a stream must have in a beat, on average, for merging to save anything.
WORTH = 1.25
# How many beats the average looks back on: an engine's steps and the machine's other work come unevenly.
MEMORY = 4


class Pace:
    """The beat of one engine's streams; `beat` in seconds, 0 for never waiting."""

    def __init__(self, beat: float) -> None:
        self.busy = False
        self._beat = beat
        self._streams = 0
        self._tokens = 0
        self._average = 0.0
        self._next = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def stream(self) -> Iterator[None]:
        """While a stream runs."""
        self._streams += 1
        if self._timer is None and self._beat:
            self._timer = asyncio.get_running_loop().call_later(self._beat, self._turn)
        try:
            yield
        finally:
            self._streams -= 1

    def took(self, tokens: int) -> None:
        """A stream was given so many tokens."""
        self._tokens += tokens

    async def turn(self) -> None:
        """Wait for the next beat; only of use while `busy`."""
        await self._next.wait()

    def _turn(self) -> None:
        tokens, self._tokens = self._tokens, 0
        again = self._streams > 0
        self._average = self._average + (tokens - self._average) / MEMORY if again else 0.0
        self.busy = self._average > max(CALM, WORTH * self._streams)
        waiting, self._next = self._next, asyncio.Event()
        waiting.set()
        self._timer = asyncio.get_running_loop().call_later(self._beat, self._turn) if again else None
