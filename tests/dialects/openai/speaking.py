"""What tests of speech ask, and what they hear."""

from __future__ import annotations

import base64
import importlib
import io
import json
import wave
from typing import Any

import audio
from audio import Clip

SPEECH, VOICES = "/v1/audio/speech", "/v1/audio/voices"
DEMUXERS = {"opus": "ogg"}
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def speech(**fields: Any) -> dict[str, Any]:
    """A valid body and what a test adds."""
    return {"model": "echo", "input": "one two. three", **fields}


def heard(data: bytes, format: str) -> Clip:
    """The sound that a player would make of it."""
    if format == "pcm":
        return Clip(data, audio.PCM_RATE)
    av: Any = importlib.import_module("av")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=audio.PCM_RATE)
    with av.open(io.BytesIO(data), format=DEMUXERS.get(format, format)) as reader:
        frames = [frame for each in reader.decode(audio=0) for frame in resampler.resample(each)]
    frames += resampler.resample(None)
    return Clip(b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames), audio.PCM_RATE)


def samples(data: bytes) -> tuple[int, bytes]:
    """Rate and samples of a WAV file that tells its true length."""
    with wave.open(io.BytesIO(data)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        pcm = reader.readframes(reader.getnframes())
        assert len(pcm) == 2 * reader.getnframes() == len(data) - 44
        return reader.getframerate(), pcm


def events(body: bytes) -> list[Any]:
    parts = body.split(b"\n\n")
    assert parts.pop() == b""
    assert all(part.startswith(b"data: ") for part in parts)
    return [json.loads(part[6:]) for part in parts]


def joined(found: list[Any]) -> bytes:
    """The file that the events of a stream hold."""
    assert [each["type"] for each in found] == ["speech.audio.delta"] * (len(found) - 1) + ["speech.audio.done"]
    return b"".join(base64.b64decode(each["audio"], validate=True) for each in found[:-1])
