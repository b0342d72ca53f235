"""An echo that writes down when its work on a request ends, where a test can see it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from msgspec.structs import replace

from backends import Setup
from backends.echo import Echo
from backends.events import Event
from backends.requests import Request


class Recording(Echo):
    """Takes the options of echo and `file`."""

    def __init__(self, setup: Setup) -> None:
        options = dict(setup.options)
        self.file = Path(options.pop("file"))
        super().__init__(replace(setup, options=options))

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(super().run(request)) as events:
                async for event in events:
                    yield event
        finally:
            with self.file.open("a") as file:
                file.write(f"{time.time()}\n")
