"""A model that draws and does nothing else, honours no parameter, and tells no sizes; and one that tells its sides."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import vision
from backends import Model, Setup, Sides, State
from backends.events import Event, Picture, Usage
from backends.requests import ImageRequest, Request


class PlainArtist:
    """Black pictures, of 16x16 pixels if no size is asked for; for the prompt "bad" none that anybody could read."""

    def __init__(self, setup: Setup) -> None:
        self.model = Model(kinds=frozenset({"image"}))
        self.slots = 8
        self.state = State("ready")

    async def start(self) -> None:
        pass

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        assert isinstance(request, ImageRequest)
        for index in range(request.n):
            drawn = vision.png(vision.blank((request.width or 16, request.height or 16), (0, 0, 0)))
            yield Picture(drawn[:30] if request.prompt == "bad" else drawn, index)
        yield Usage()

    async def close(self) -> None:
        pass


class FreeArtist(PlainArtist):
    """Any size within its bounds; changes one picture."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.model = Model(kinds=frozenset({"image"}), parameters=frozenset({"edit"}), sides=Sides(16, 64, 8))
