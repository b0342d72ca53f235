"""The body of `POST /v1/audio/speech`, and how its answer is to come.

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech, as the `openai` Python SDK types it; the
options of h2oGPT's server are from its sources: https://github.com/h2oai/h2ogpt (openai_server).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from openai_proxy.bodies.fields import Label
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

Format: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Flag: TypeAlias = bool | Literal["true", "false", "True", "False"]
Way: TypeAlias = Literal["stream", "events", "sentences", "files", "whole"]

# Who sends one of these talks to h2oGPT's server, whose defaults are others.
H2OGPT = frozenset({"stream", "stream_strip", "chatbot_role", "speaker", "format"})
# What goes on to another server.
FORWARDED = frozenset({"input", "voice", "instructions", "response_format", "speed", "stream_format", "script"})
# A character that is shown as a picture because of what follows it, as digits of keycaps are.
PICTURE = re.compile(".\ufe0f\u20e3?|.\u20e3", re.DOTALL)
SAID = frozenset("%&@+=<>$")


class VoiceId(Struct, forbid_unknown_fields=True):
    """A voice by its id."""

    id: str


class SpeechBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/audio/speech`; the fields from `stream` on are h2oGPT's, `script` is for the backend `echo`."""

    input: str
    model: str | None = None
    voice: str | VoiceId | None = None
    instructions: str | None = None
    response_format: Format | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    user: Label | None = None
    stream: Flag | None = None
    stream_strip: Flag | None = None
    chatbot_role: str | None = None
    speaker: str | None = None
    format: Format | None = None
    script: dict[str, Any] | None = None


class Manner(Struct, frozen=True):
    """How the sound is to come: in which format, and in which way.

    "stream": one file, as it is made. "events": the same in server-sent events. "sentences": one file, a sentence at
    a time. "files": each sentence a file of its own. "whole": one file that tells its length.
    """

    format: Format
    way: Way
    h2ogpt: bool


def manner(body: SpeechBody, fields: Given) -> Manner:
    """What a body asks for. Raises InvalidRequest."""
    h2ogpt = not H2OGPT.isdisjoint(fields)
    return Manner(
        format=body.response_format or body.format or ("wav" if h2ogpt else "mp3"),
        way=_way(body, h2ogpt),
        h2ogpt=h2ogpt,
    )


def _way(body: SpeechBody, h2ogpt: bool) -> Way:
    if body.stream_format == "sse":
        if body.stream is not None and not _true(body.stream):
            raise InvalidRequest("stream_format sse is a stream: stream must not be false.", param="stream_format")
        return "events"
    if not h2ogpt:
        return "stream"
    if body.stream is None or not _true(body.stream):
        return "whole"
    return "files" if body.stream_strip is not None and not _true(body.stream_strip) else "sentences"


def _true(flag: Flag) -> bool:
    return flag in (True, "true", "True")


def can_be_said(text: str) -> bool:
    """Whether there is a letter, a digit or a sign with a name in it, and not only blanks, marks and pictures."""
    return any(
        character in SAID or unicodedata.category(character)[0] in "LN" or unicodedata.category(character) == "Sc"
        for character in PICTURE.sub("", text)
    )
