"""A little is drawn with each pipeline before the model is ready: what it really does is only known then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from msgspec import structs

import vision
from backends.diffusers.drawing import called
from backends.diffusers.messages import Ability, Draw, FromEngine, Piece, Pixels, Task
from backends.diffusers.pipelines import Pipelines, Unloadable
from backends.diffusers.steps import Steps

# One to look at, and one to end with.
STEPS = 2
GREY = b"\x80"


class Rehearsal(Steps):
    """A call after which it is known whether pictures can be shown unfinished."""

    previews = False

    def __init__(self, pipelines: Pipelines, draw: Draw) -> None:
        super().__init__(pipelines, draw, range(1), self._told, lambda number: False)

    def _told(self, message: FromEngine) -> None:
        """Nobody listens."""

    def look(self, latents: Any) -> Any:
        try:
            pictures = super().look(latents)
        except Exception:  # noqa: BLE001 - a pipeline whose latents are of another kind fails in any way
            return [vision.blank((1, 1))]
        self.previews = True
        return pictures


def rehearsed(pipelines: Pipelines) -> Iterator[tuple[Task, Ability]]:
    """The tasks that can be done with these weights. Raises Unloadable when the one they are made for cannot.

    Diffusers knows pipelines by a family's name: not all weights of a family do for all.
    """
    for task, ability in pipelines.abilities().items():
        try:
            previews = _rehearsed(pipelines, task, ability)
        except Exception as error:
            if type(pipelines.tasks[task]) is type(pipelines.whole):
                raise Unloadable(f"{type(pipelines.whole).__name__} cannot draw: {error}") from error
            continue
        yield task, structs.replace(ability, previews=previews)


def _rehearsed(pipelines: Pipelines, task: Task, ability: Ability) -> bool:
    multiple = pipelines.multiple()
    side = multiple * -(-pipelines.load.smallest // multiple)
    strength = ability.strength or 1.0
    piece = Piece(
        prompt="a house",
        seed=0,
        images=() if task == "generate" else (0,),
        mask=1 if task == "mask" else None,
        partial=1,
    )
    draw = Draw(
        number=0,
        task=task,
        width=side,
        height=side,
        steps=None if ability.steps is None else math.ceil(STEPS / strength),
        guidance=None,
        strength=ability.strength,
        pieces=(piece,),
        pixels=(Pixels(GREY * (3 * side * side), side, side), Pixels(b"\xff" * (side * side), side, side, "L")),
    )
    rehearsal = Rehearsal(pipelines, draw)
    vision.png(called(pipelines, ability, draw, draw.pieces, rehearsal).images[0])
    return rehearsal.previews
