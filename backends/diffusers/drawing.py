"""Draws, in the engine's process: pieces become pictures, and pictures PNGs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import vision
from backends.diffusers.arguments import arguments, picture
from backends.diffusers.messages import Ability, Draw, Drawn, FromEngine, Piece, Task
from backends.diffusers.pipelines import Pipelines
from backends.diffusers.steps import Steps


class Studio:
    """Draws what the server asks for. `tell` sends it a message; `unwanted` says of the number of a Draw whether it is
    to be stopped.
    """

    def __init__(
        self,
        pipelines: Pipelines,
        abilities: Mapping[Task, Ability],
        tell: Callable[[FromEngine], None],
        unwanted: Callable[[int], bool],
    ) -> None:
        self._pipelines = pipelines
        self._abilities = abilities
        self._tell = tell
        self._unwanted = unwanted

    def draw(self, draw: Draw) -> None:
        """All pieces of it. Raises Stopped, and whatever the pipeline does."""
        self._draw(draw, range(len(draw.pieces)))

    def _draw(self, draw: Draw, places: Sequence[int]) -> None:
        """In halves where memory does not suffice."""
        try:
            output = self._call(draw, places)
        except self._pipelines.torch.OutOfMemoryError:
            if len(places) == 1:
                raise
            output = None  # tried again where the failed call has let go of its memory
        if output is None:
            self._pipelines.give_back()
            self._draw(draw, places[: len(places) // 2])
            self._draw(draw, places[len(places) // 2 :])
            return
        withheld = getattr(output, "nsfw_content_detected", None) or [False] * len(places)
        for place, drawn, hidden in zip(places, output.images, withheld, strict=True):
            piece = draw.pieces[place]
            data = None if hidden else vision.png(_where_it_may(draw, piece, drawn))
            self._tell(Drawn(place, data, self._tokens(piece)))

    def _call(self, draw: Draw, places: Sequence[int]) -> Any:
        pieces = [draw.pieces[place] for place in places]
        steps = Steps(self._pipelines, draw, places, self._tell, self._unwanted)
        return called(self._pipelines, self._abilities[draw.task], draw, pieces, steps)

    def _tokens(self, piece: Piece) -> int:
        """Those of its words, as the first of the pipeline's tokenizers counts them."""
        tokenizer = getattr(self._pipelines.whole, "tokenizer", None)
        if not callable(tokenizer):
            return len(f"{piece.prompt} {piece.negative_prompt}".split())
        texts = filter(None, (piece.prompt, piece.negative_prompt))
        return sum(len(tokenizer(text).input_ids) for text in texts)


def called(pipelines: Pipelines, ability: Ability, draw: Draw, pieces: Sequence[Piece], steps: Steps) -> Any:
    """What the pipeline answers. Raises whatever it does."""
    pipeline = pipelines.of(draw.task)
    try:
        return pipeline(**arguments(pipelines, ability, draw, pieces), **steps.arguments())
    finally:
        pipeline.maybe_free_model_hooks()  # it does so itself, but not where it fails


def _where_it_may(draw: Draw, piece: Piece, drawn: vision.Pixels) -> vision.Pixels:
    """What the mask does not open stays as it was, to the pixel: a VAE changes it a little."""
    if piece.mask is None:
        return drawn
    whole = picture(draw, piece.images[0])
    if drawn.size != whole.size:
        return drawn
    whole.paste(drawn, mask=picture(draw, piece.mask))
    return whole
