"""What happens after each step of a pipeline's call: it is told, pieces are shown unfinished, and it may be ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import vision
from backends.diffusers.messages import Draw, FromEngine, Shown, Step
from backends.diffusers.pipelines import Pipelines, parameters
from backends.diffusers.preview import preview


class Stopped(Exception):
    """Nobody wants the pictures any more."""


class Steps:
    """Of one call that draws the pieces at `places`."""

    def __init__(
        self,
        pipelines: Pipelines,
        draw: Draw,
        places: Sequence[int],
        tell: Callable[[FromEngine], None],
        unwanted: Callable[[int], bool],
    ) -> None:
        self.draw = draw
        self._pipelines = pipelines
        self._pipeline = pipelines.tasks[draw.task]
        self._places = places
        self._tell = tell
        self._unwanted = unwanted
        self._shown = dict.fromkeys(places, 0)

    def arguments(self) -> Mapping[str, Any]:
        """By which the pipeline calls back; none where it cannot."""
        taken = parameters(self._pipeline)
        if "callback_on_step_end" in taken:
            return {"callback_on_step_end": self._ended}
        return {"callback": self._done, "callback_steps": 1} if "callback_steps" in taken else {}

    def _ended(self, pipeline: Any, index: int, time: Any, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        self._done(index, time, tensors["latents"])
        return {}

    def _done(self, index: int, time: Any, latents: Any) -> None:
        """Raises Stopped."""
        if self._unwanted(self.draw.number):
            raise Stopped
        done = index + 1
        steps = max(done, getattr(self._pipeline, "num_timesteps", None) or self.draw.steps or done)
        self._tell(Step(done, steps))
        due = [place for place in self._places if done in moments(self.draw.pieces[place].partial, steps)]
        if due:
            self._show(due, latents)

    def _show(self, due: Sequence[int], latents: Any) -> None:
        places = [place for place in self._places if place in due]
        rows = [list(self._places).index(place) for place in places]
        for place, picture in zip(places, self.look(latents[rows]), strict=True):
            self._tell(Shown(place, self._shown[place], vision.png(picture)))
            self._shown[place] += 1

    def look(self, latents: Any) -> Any:
        """Pictures of latents."""
        return preview(self._pipelines.torch, self._pipeline, latents, self.draw.width, self.draw.height)


def moments(partial: int, steps: int) -> set[int]:
    """After which steps a piece is shown that is to be shown so often: evenly, but neither at once nor at the end."""
    return {steps * (number + 1) // (partial + 1) for number in range(partial)} - {0, steps}
