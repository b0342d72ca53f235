"""Where the outputs of subscriptions go: lines of JSON at the end of a file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.errors import StoreFailed


class Delivery(Struct, frozen=True):
    """What the containers of a subscription made at one interval, or why they failed; `time` in Unix seconds.

    A server that dies at the wrong moment writes one twice: then `owner`, `nonce` and `interval` are the same.
    """

    owner: str
    nonce: int
    interval: int
    container: str
    output: Any
    error: str | None
    time: float


class Deliveries:
    """`path` is asked each time: the configuration may be reloaded."""

    def __init__(self, path: Callable[[], Path]) -> None:
        self.path = path

    async def keep(self, delivery: Delivery) -> None:
        """Write it to the disk. Raises StoreFailed."""
        path = self.path()
        try:
            await asyncio.to_thread(append, path, msgspec.json.encode(delivery) + b"\n")
        except OSError as error:
            raise StoreFailed(f"{path} cannot be written: {error.strerror}") from error


def append(path: Path, line: bytes) -> None:
    """In one piece, so that lines of several processes do not mix. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
        os.fsync(file)
    finally:
        os.close(file)
