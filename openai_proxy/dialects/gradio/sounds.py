"""`/speak_text_api` and `/transcribe_audio_api`: text -> a sound in a dict, a sound in base64 -> text."""

from __future__ import annotations

import asyncio
import binascii
import io
import wave
from typing import Any

import pybase64

from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.jobs import last
from openai_proxy.errors import InvalidRequest, JobNotFound
from openai_proxy.h2ogpt.blame import blamed

# What h2oGPT's clients send that mean no voice.
NO_VOICE = ("", "None")
NAMES = {"speed": "tts_speed", "input": "text"}


class Sounds:
    """The answers."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def speak(self, event: Event) -> str:
        """A whole WAV file and its rate, as a dict. Raises InvalidRequest and its kin, or JobFailed."""
        given = event.given
        fields: dict[str, Any] = {
            "input": given.get("text"),
            "model": given.get("model"),
            "speed": _number(given.get("tts_speed")),
            "response_format": "wav",
            # Voices of h2oGPT that are not known here mean the usual one.
            "chatbot_role": _voice(given.get("chatbot_role")) or "None",
            "speaker": _voice(given.get("speaker")),
        }
        with blamed(NAMES):
            asked = await self.edge.asking("speech", fields, event.caller.name)
        result = await last(self.edge, event, asked)
        data = await self.edge.jobs.read(result.files[0].name) if result.files else None
        if data is None:
            raise JobNotFound
        return repr({"audio": data, "sr": await asyncio.to_thread(_rate, data)})

    async def transcribe(self, event: Event) -> str:
        """The words. Raises InvalidRequest and its kin, or JobFailed."""
        sound = event.given["audio"]
        if not isinstance(sound, str):
            raise InvalidRequest("The sound must be a text in base64.", param="audio")
        try:
            data = await asyncio.to_thread(pybase64.b64decode, sound.rpartition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest("The sound is not base64.", param="audio") from None
        result = await last(
            self.edge, event, await self.edge.asking("transcription", {"file": data}, event.caller.name)
        )
        return result.text.strip()


def _voice(name: object) -> str | None:
    return name if isinstance(name, str) and name not in NO_VOICE else None


def _number(value: object) -> object:
    """Numbers may be texts. What is none is told by whoever reads it next."""
    try:
        return float(value) if isinstance(value, str) and value else value or None
    except ValueError:
        return value


def _rate(data: bytes) -> int:
    with wave.open(io.BytesIO(data)) as file:
        return int(file.getframerate())
