"""Sound as a WAV file."""

from __future__ import annotations

import io
import struct
import wave

from audio.clip import WIDTH, Clip

UNKNOWN = 0xFFFFFFFF


def wav(clip: Clip) -> bytes:
    """The whole file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(WIDTH)
        writer.setframerate(clip.rate)
        writer.writeframes(clip.pcm)
    return file.getvalue()


def open_header(rate: int) -> bytes:
    """What comes before samples of which nobody knows yet how many there are, as OpenAI sends it."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * WIDTH, WIDTH, WIDTH * 8)
    return struct.pack("<4sI4s", b"RIFF", UNKNOWN, b"WAVE") + form + struct.pack("<4sI", b"data", UNKNOWN)
