"""Trains the image model `emoji`: Noto Color Emoji and the words of emojilib in, the backend's file of weights out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import clearing
import components
import imagining
import judge
import reading
import recalling
import showing
import sources
import tints
import torch
import understanding
from export import TARGET
from export import export as written

from backends.emoji.drawing import Artist

HOME = Path.home() / ".cache" / "openai-proxy"
SHEET = Path(__file__).parent / "sheet.webp"


class Training:
    """One step after the other; each is made of what those before left in the folder."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.folder, self.device = arguments, arguments.folder, arguments.device

    def fetch(self) -> None:
        """download the font and the keywords, and draw the font's pictures"""
        sources.fetch(self.folder)
        print(len(self._lesson().subjects), "subjects")

    def words(self) -> None:
        """what words mean, by all-MiniLM-L6-v2"""
        print(len(self._words().numbers), "words")

    def components(self) -> None:
        """all pictures in other colours too, and the main components of all"""
        lesson = self._lesson()
        components.write(self.folder, lesson, tints.Tints(self.folder, lesson))

    def paint(self) -> None:
        """train the painter"""
        steps, batch = self.arguments.steps or clearing.STEPS, self.arguments.batch or clearing.BATCH
        clearing.train(self.folder, self._lesson(), components.load(self.folder), steps, self.device, batch)

    def imagine(self) -> None:
        """train the reader, solve for first ideas, and train imagination"""
        lesson, parts, known = self._lesson(), components.load(self.folder), self._words()
        captions = reading.Captions(lesson, tints.Tints(self.folder, lesson), known, imagining.SEED)
        if not (self.folder / "reader.pt").exists():
            understanding.train(self.folder, captions, known, understanding.STEPS, self.device)
        reader = understanding.load(self.folder, known, len(lesson.subjects), self.device)
        if not (self.folder / "idea.pt").exists():
            recalling.solve(self.folder, captions, known, reader, parts, self.device)
        idea = recalling.load(self.folder, components.COLUMNS, self.device)
        kept = imagining.bank(self.folder, lesson, parts, (captions, known, reader, idea), self.device)
        steps, batch = self.arguments.steps or imagining.STEPS, self.arguments.batch or imagining.BATCH
        imagining.train(self.folder, kept, steps, self.device, batch)

    def export(self) -> None:
        """write the backend's file; it tells the hash that the backend pins"""
        parts, known, subjects = components.load(self.folder), self._words(), len(self._lesson().subjects)
        reader, idea = understanding.load(self.folder, known, subjects, "cpu"), recalling.load(self.folder, 512, "cpu")
        networks = reader, idea, imagining.load(self.folder, "cpu"), clearing.load(self.folder, "cpu")
        print("SHA256 =", written(TARGET, known, parts, networks, imagining.scale_of(parts)))

    def evaluate(self) -> None:
        """tell how well the backend's file follows prompts"""
        artist = Artist(TARGET.read_bytes())
        told = judge.Judge(self._lesson(), self.arguments.sample).tell(
            lambda prompts: showing.drawn(artist, prompts, guidance=self.arguments.guidance)
        )
        for kind, (first, five) in told:
            print(f"{kind:60} top-1 {first:6.1%}  top-5 {five:6.1%}", flush=True)

    def sheet(self) -> None:
        """draw the sheet of the README"""
        showing.sheet(Artist(TARGET.read_bytes()), SHEET)

    def _lesson(self) -> sources.Lesson:
        return sources.lesson(self.folder)

    def _words(self) -> reading.Words:
        return reading.words(self.folder, self.arguments.minilm, self._lesson().subjects)


STEPS: dict[str, Callable[[Training], None]] = {
    step.__name__: step
    for step in (
        *(Training.fetch, Training.words, Training.components, Training.paint),
        *(Training.imagine, Training.export, Training.evaluate, Training.sheet),
    )
}


def main() -> int:
    told = "; ".join(f"{name}: {step.__doc__}" for name, step in STEPS.items())
    parser = argparse.ArgumentParser(prog="scripts/train_images", description=__doc__, epilog=told)
    parser.add_argument("what", choices=("all", *STEPS))
    parser.add_argument("--folder", type=Path, default=HOME / "painting", help="where everything is kept")
    parser.add_argument("--minilm", type=Path, default=HOME / "weights" / "all-minilm-l6-v2-0.1.0")
    parser.add_argument("--device", default="cpu", help="for `paint` and `imagine`: cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of `paint` or `imagine`, those that were done before counted in")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--sample", type=int, default=200, help="how many subjects are evaluated")
    parser.add_argument("--guidance", type=float)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training = Training(arguments)
    for step in STEPS.values() if arguments.what == "all" else [STEPS[arguments.what]]:
        step(training)
    return 0


if __name__ == "__main__":
    sys.exit(main())
