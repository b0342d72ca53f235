"""How the echo model speaks: a tone for each word, as long as the word, at a pitch of its own in the voice's range."""

from __future__ import annotations

import array
import re
import sys
import zlib
from collections.abc import Iterator
from itertools import chain, pairwise
from math import sin, tau

from backends import Voice
from backends.echo.answers import tokens
from backends.echo.script import Script
from backends.events import Event, Sound, Usage
from backends.requests import SpeechRequest

RATE = 24_000
LOUDNESS = 8000
SECONDS_PER_CHARACTER, PAUSE = 0.06, 0.05
# Waves of so many samples, the longest and the shortest of each voice.
WAVES = {"low": (160, 100), "high": (60, 40)}
VOICES = (
    Voice("low", ("en",), "tones of 150 to 240 Hz"),
    Voice("high", ("en",), "tones of 400 to 600 Hz"),
)
# What makes a tone; longer words make several.
WORD = re.compile(r"\S{0,15}\w\S{0,15}")
END = re.compile(r"[.!?:;]$")


def speech(request: SpeechRequest, script: Script) -> Iterator[Event]:
    """The events of a request to speak: one Sound a word."""
    said = script.text if script.text is not None else request.text
    words = (word for token in tokens(said, script) for word in WORD.findall(token))
    made = size = 0
    for word, following in pairwise(chain(words, (None,))):
        assert word is not None
        data = _tone(word, request.voice or VOICES[0].name, request.speed)
        made += 1
        size += len(data)
        yield Sound(data, RATE, ends=following is None or END.search(word) is not None)
    yield Usage(prompt=len(said.split()), completion=made, seconds=size / 2 / RATE)


def _tone(word: str, voice: str, speed: float) -> bytes:
    """Whole waves, so that nothing clicks, then silence."""
    longest, shortest = WAVES[voice]
    length = shortest + zlib.crc32(word.encode()) % (longest - shortest + 1)
    wave = array.array("h", (int(LOUDNESS * sin(tau * step / length)) for step in range(length)))
    if sys.byteorder == "big":
        wave.byteswap()
    count = max(1, round(len(word) * SECONDS_PER_CHARACTER * RATE / speed / length))
    return wave.tobytes() * count + bytes(2 * round(PAUSE * RATE / speed))
