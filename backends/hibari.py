"""The backend `hibari`: an American woman's voice of 8 MB, a hundred times as fast as it speaks on one core.

Weights and dictionaries lie in the wheel of `hibari-tts`. It would download other voices: none is ever named to it.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from typing import Any

from backends import Model, Voice
from backends.speaking import Engine, Phrase, Speaker
from backends.speaking.packaged import folder, pinned

WEIGHTS = "hibari.onnx"
SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
SEED = 0
HEART = Voice("heart", ("en",), "American English, a woman")


class Hibari(Speaker):
    """Options: `backends.speaking.speaker.Options`."""

    name = "hibari"
    engine = "backends.hibari:Heart"
    slots = 8
    model = Model(
        kinds=frozenset({"speech"}),
        parameters=frozenset({"speed"}),
        voices=(HEART,),
        description="hibari: one clear voice of American English, quick on any machine",
    )


class Heart(Engine):
    """The loaded voice. The same text always sounds the same."""

    def __init__(self) -> None:
        weights = folder("hibari", "embedded") / "assets" / WEIGHTS
        folder("onnxruntime", "embedded")
        pinned([weights], SHA256)
        from backends.speaking.english import English
        from backends.speaking.samples import pcm

        hibari: Any = importlib.import_module("hibari")
        self.rate = int(hibari.SAMPLE_RATE)
        self._english, self._pcm = English(), pcm
        self._voice: Any = hibari.Hibari(model=str(weights), threads=1, g2p=self._english.read)
        for _ in self.say("One, two.", "heart", 1.0):
            pass

    def say(self, text: str, voice: str, speed: float) -> Generator[Phrase, None, None]:
        for phrase in self._english.phrases(text):
            samples = self._voice.from_phonemes(phrase.phonemes, speed, SEED)
            yield Phrase(self._pcm(samples), phrase.ends)
