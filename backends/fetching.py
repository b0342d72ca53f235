"""Embedded weights that are fetched while the model's state tells how far that is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from backends import State
from backends.life import Life
from backends.weights import fetch


async def fetched(weights: str, home: str | None, wheels: str | None, life: Life) -> Path:
    """Where the weights of that name lie, fetched if they are not there. Raises OSError."""
    loop = asyncio.get_running_loop()
    over = False

    def become(state: State) -> None:
        # The thread may go on when nobody waits for it any more.
        if not over:
            life.become(state)

    def told(done: int, total: int, note: str) -> None:
        loop.call_soon_threadsafe(become, State("loading", note, done / max(1, total)))

    try:
        with life.trying("looking for the weights"):
            return await asyncio.to_thread(fetch, weights, _folder(home), _folder(wheels), told)
    finally:
        over = True


def _folder(path: str | None) -> Path | None:
    return Path(os.path.expanduser(path)) if path else None
