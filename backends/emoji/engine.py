"""The engine's side, in its own process: a question about pictures is answered step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import vision
from backends.emoji.asking import Answer, Order, Sent, Shown, Stepped
from backends.emoji.canvas import finished, free, kept, seen
from backends.emoji.drawing import Artist, Sketch, Wish
from backends.speaking.packaged import folder, pinned
from backends.workshop import Asked

if TYPE_CHECKING:
    from vision import Pixels

WEIGHTS = Path(__file__).parent / "weights" / "painter.npz"
SHA256 = "06ca7b7977fa856daaaac42ac91b1bf8be01ef707616d7e24bf3ecfb5ddad8ad"


class Draughtsman:
    """The loaded model, as `backends.workshop` wants an engine."""

    question = Order
    about = None

    def __init__(self) -> None:
        folder("numpy", "embedded")
        self._artist = Artist(pinned([WEIGHTS], SHA256))

    def answers(self, question: Order, asked: Asked) -> Iterator[Answer]:
        """Each step, and pictures when they are done."""
        sketch = self._artist.begun(_wish(question))
        words, steps = len(self._artist.words.numbers(question.prompt)), question.steps
        shown = {round(steps * (each + 1) / (question.partial + 1)): each for each in range(question.partial)}
        while not sketch.done:
            self._artist.advance(sketch)
            yield Stepped(sketch.step / steps, words)
            if sketch.step in shown and not sketch.done:
                for index in range(len(question.seeds)):
                    yield Shown(self._png(question, sketch, index), index, shown[sketch.step])
        for index in range(len(question.seeds)):
            yield Shown(self._png(question, sketch, index), index)

    def _png(self, order: Order, sketch: Sketch, index: int) -> bytes:
        if order.source is not None and order.strength == 0:
            return vision.png(_pixels(order.source))
        painted = self._artist.painted(sketch.guess[index], self._artist.colour(order.prompt))
        drawn = finished(painted, order.size, filled=order.source is not None, transparent=order.transparent)
        if order.source is not None and order.mask is not None:
            drawn = kept(drawn, _pixels(order.source), _pixels(order.mask, "L"))
        return vision.png(drawn)


def _pixels(sent: Sent, mode: str = "RGB") -> Pixels:
    return vision.unpacked(sent.pixels, sent.size, mode)


def _wish(order: Order) -> Wish:
    return Wish(
        prompt=order.prompt,
        negative=order.negative,
        seeds=order.seeds,
        steps=order.steps,
        guidance=order.guidance,
        source=None if order.source is None else seen(_pixels(order.source)),
        strength=order.strength,
        free=None if order.mask is None else free(_pixels(order.mask, "L")),
    )
