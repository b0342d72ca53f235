"""Sounds to try things with."""

from __future__ import annotations

import array
import importlib
import io
import math
import wave
from typing import Any


def tone(seconds: float, rate: int = 16_000, channels: int = 1, hertz: float = 440.0) -> bytes:
    """A sine as a WAV file."""
    steps = range(int(seconds * rate))
    samples = array.array("h", (int(8000 * math.sin(math.tau * hertz * step / rate)) for step in steps))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(array.array("h", (each for each in samples for _ in range(channels))).tobytes())
    return file.getvalue()


def encoded(wav: bytes, container: str, codec: str, rate: int = 48_000) -> bytes:
    """The same sound in another format, by FFmpeg's names."""
    av: Any = importlib.import_module("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as writer, av.open(io.BytesIO(wav)) as reader:
        stream = writer.add_stream(codec, rate=rate)
        for frame in reader.decode(audio=0):
            frame.pts = None
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return file.getvalue()
