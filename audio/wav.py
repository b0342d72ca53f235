"""A clip as a WAV file."""

from __future__ import annotations

import io
import wave

from audio.clip import WIDTH, Clip


def wav(clip: Clip) -> bytes:
    """The whole file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(WIDTH)
        writer.setframerate(clip.rate)
        writer.writeframes(clip.pcm)
    return file.getvalue()
